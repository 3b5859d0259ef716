"""Results folders: one writer, blobs first, rows last."""
