"""What people have: tables, arrays, labels, read into plain arrays and checked. No JAX."""
