// The arrays of one trial out of those of all, and back: rows, copied as bytes.
//
// XLA would compile a loop of its own for each array, and the state of a trial has dozens.

#include <cstring>

#include "calls.h"

namespace gridscape {
namespace {

using Index = ffi::Buffer<ffi::S32, 0>;

// Where slot k of an array (K, ...) lies; null unless it has one, of as many bytes as a row.
char* slot_of(ffi::AnyBuffer slots, int64_t k, ffi::AnyBuffer row) {
  const int64_t n = slots.dimensions().size() ? slots.dimensions()[0] : 0;
  const auto row_bytes = static_cast<int64_t>(row.size_bytes());
  if (k < 0 || k >= n || static_cast<int64_t>(slots.size_bytes()) != n * row_bytes) return nullptr;
  return static_cast<char*>(slots.untyped_data()) + k * row_bytes;
}

// k (), arrays (K, ...) -> of each its slot k, (...).
ffi::Error slot_take(Index k, ffi::RemainingArgs arrays, ffi::RemainingRets rows) {
  if (arrays.size() != rows.size()) return refused("not one row of each array");
  for (size_t i = 0; i < arrays.size(); ++i) {
    auto slots = arrays.get<ffi::AnyBuffer>(i);
    auto row = rows.get<ffi::AnyBuffer>(i);
    if (!slots.has_value() || !row.has_value()) return refused("a buffer is missing");
    if ((*row)->size_bytes() == 0) continue;
    const char* from = slot_of(*slots, *k.typed_data(), **row);
    if (!from) return refused("a slot that is not there");
    std::memcpy((*row)->untyped_data(), from, (*row)->size_bytes());
  }
  return ffi::Error::Success();
}

// k (), arrays (K, ...), their rows (...) -> the arrays, whose slots k are the rows. They take the
// place of the operands that they follow.
ffi::Error slot_put(Index k, ffi::RemainingArgs args, ffi::RemainingRets results) {
  const size_t n_arrays = results.size();
  if (args.size() != 2 * n_arrays) return refused("not one row of each array");
  for (size_t i = 0; i < n_arrays; ++i) {
    auto before = args.get<ffi::AnyBuffer>(i), row = args.get<ffi::AnyBuffer>(n_arrays + i);
    auto after = results.get<ffi::AnyBuffer>(i);
    if (!before.has_value() || !row.has_value() || !after.has_value() ||
        before->size_bytes() != (*after)->size_bytes()) {
      return refused("a buffer is missing, or of another size");
    }
    if (row->size_bytes() == 0) continue;
    if (before->untyped_data() != (*after)->untyped_data()) {
      std::memcpy((*after)->untyped_data(), before->untyped_data(), before->size_bytes());
    }
    char* to = slot_of(**after, *k.typed_data(), *row);
    if (!to) return refused("a slot that is not there");
    std::memcpy(to, row->untyped_data(), row->size_bytes());
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    gridscape_slot_take, gridscape::slot_take,
    ffi::Ffi::Bind().Arg<gridscape::Index>().RemainingArgs().RemainingRets());

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    gridscape_slot_put, gridscape::slot_put,
    ffi::Ffi::Bind().Arg<gridscape::Index>().RemainingArgs().RemainingRets());
