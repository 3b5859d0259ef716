// The calls that make random numbers: of each key, whatever dimensions the keys have.

#include "calls.h"
#include "dispatch.h"

namespace gridscape {
namespace {

constexpr const char* kOtherShapes = "random numbers of other shapes than keys";

// Keys (..., 2): how many; -1 where these are none.
int64_t n_keys(ffi::AnyBuffer keys) {
  const auto dimensions = keys.dimensions();
  if (keys.element_type() != ffi::U32 || dimensions.size() < 1) return -1;
  return dimensions.back() == 2 ? static_cast<int64_t>(keys.element_count()) / 2 : -1;
}

const uint32_t* words(ffi::AnyBuffer buffer) {
  return static_cast<const uint32_t*>(buffer.untyped_data());
}

// keys (..., 2) -> bits (..., n).
ffi::Error threefry_bits(ffi::AnyBuffer keys, ffi::Result<ffi::AnyBuffer> bits) {
  const int64_t n = n_keys(keys), n_bits = static_cast<int64_t>(bits->element_count());
  if (n < 0 || bits->element_type() != ffi::U32 || (n ? n_bits % n : n_bits))
    return refused(kOtherShapes);
  auto* to = static_cast<uint32_t*>(bits->untyped_data());
  for (int64_t k = 0; k < n; ++k) {
    chosen().threefry->bits(words(keys) + 2 * k, n_bits / n, to + k * (n_bits / n));
  }
  return ffi::Error::Success();
}

// keys (..., 2), counts (..., n) -> pairs (..., n, 2).
ffi::Error threefry_pairs(ffi::AnyBuffer keys, ffi::AnyBuffer counts,
                          ffi::Result<ffi::AnyBuffer> pairs) {
  const int64_t n = n_keys(keys), n_counts = static_cast<int64_t>(counts.element_count());
  if (n < 0 || counts.element_type() != ffi::U32 || (n ? n_counts % n : n_counts) ||
      n_keys(*pairs) != n_counts) {
    return refused(kOtherShapes);
  }
  auto* to = static_cast<uint32_t*>(pairs->untyped_data());
  for (int64_t k = 0; k < n; ++k) {
    const int64_t each = n_counts / n;
    chosen().threefry->pairs(words(keys) + 2 * k, words(counts) + k * each, each,
                             to + 2 * k * each);
  }
  return ffi::Error::Success();
}

}  // namespace
}  // namespace gridscape

namespace ffi = xla::ffi;

XLA_FFI_DEFINE_HANDLER_SYMBOL(gridscape_threefry_bits, gridscape::threefry_bits,
                              ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    gridscape_threefry_pairs, gridscape::threefry_pairs,
    ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());
