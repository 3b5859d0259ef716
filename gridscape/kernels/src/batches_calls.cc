// The examples of a batch: rows of the training arrays, copied as bytes.

#include <cstring>

#include "calls.h"

namespace gridscape {
namespace {

using Index = ffi::Buffer<ffi::S32, 0>;
using Order = ffi::Buffer<ffi::S32, 2>;

// The rows of a table (N, ...) of whatever type at these indices.
ffi::Error copy_rows(ffi::AnyBuffer table, const int32_t* indices, int64_t count,
                     ffi::AnyBuffer batch) {
  const int64_t n_rows = table.dimensions().size() ? table.dimensions()[0] : 0;
  const int64_t row_bytes = n_rows ? static_cast<int64_t>(table.size_bytes()) / n_rows : 0;
  if (static_cast<int64_t>(batch.size_bytes()) != count * row_bytes) {
    return refused("a batch of another size than its rows");
  }
  const char* rows = static_cast<const char*>(table.untyped_data());
  char* to = static_cast<char*>(batch.untyped_data());
  for (int64_t k = 0; k < count; ++k, to += row_bytes) {
    if (indices[k] < 0 || indices[k] >= n_rows) return refused("an example that is not there");
    std::memcpy(to, rows + indices[k] * row_bytes, row_bytes);
  }
  return ffi::Error::Success();
}

// at (), order (U, B), tables (N, ...) -> of each table its rows order[at], (B, ...).
ffi::Error batch_take(Index at, Order order, ffi::RemainingArgs tables,
                      ffi::RemainingRets batches) {
  const int64_t update = *at.typed_data(), count = order.dimensions()[1];
  if (update < 0 || update >= order.dimensions()[0]) return refused("an update without an order");
  if (tables.size() != batches.size()) return refused("not one batch of each table");
  for (size_t k = 0; k < tables.size(); ++k) {
    auto table = tables.get<ffi::AnyBuffer>(k);
    auto batch = batches.get<ffi::AnyBuffer>(k);
    if (!table.has_value() || !batch.has_value()) return refused("a buffer is missing");
    auto error = copy_rows(*table, order.typed_data() + update * count, count, **batch);
    if (error.failure()) return error;
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_batch_take, gridscape::batch_take,
                              ffi::Ffi::Bind()
                                  .Arg<gridscape::Index>()
                                  .Arg<gridscape::Order>()
                                  .RemainingArgs()
                                  .RemainingRets());
