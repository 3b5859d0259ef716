// A call from JAX: its buffers by position and by trial, checked, its trials spread over threads.
//
// Operands may have leading dimensions, which vmap adds: one entry a trial, or 1 where all trials
// share the operand, then read in place. Trials are spread over the threads of the runtime.

#ifndef GRIDSCAPE_CALLS_H_
#define GRIDSCAPE_CALLS_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace gridscape {

namespace ffi = xla::ffi;

inline ffi::Error refused(const char* what) {
  return ffi::Error::InvalidArgument(std::string("gridscape kernels: ") + what);
}

// ---- buffers ----

// Dimensions, kept in place: a call of a few microseconds allocates nothing for them.
class Shape {
 public:
  static constexpr size_t kMost = 12;

  Shape() = default;
  Shape(const int64_t* begin, const int64_t* end) : size_(end - begin) {
    std::copy(begin, end, sizes_);
  }
  Shape(std::initializer_list<int64_t> sizes) : Shape(sizes.begin(), sizes.end()) {}

  size_t size() const { return size_; }
  int64_t operator[](size_t at) const { return sizes_[at]; }
  bool operator==(const Shape& other) const {
    return size_ == other.size_ && std::equal(sizes_, sizes_ + size_, other.sizes_);
  }
  int64_t product() const {
    return std::accumulate(sizes_, sizes_ + size_, int64_t{1}, std::multiplies<int64_t>());
  }

 private:
  int64_t sizes_[kMost];
  size_t size_ = 0;
};

// One array a trial, or one that all trials share: the last `rank` dimensions are a trial's own.
struct PerTrial {
  float* data;
  Shape lead, own;
  int64_t own_size;

  PerTrial() : data(nullptr), own_size(0) {}

  PerTrial(float* data, ffi::Span<const int64_t> dimensions, size_t rank) : data(data) {
    const int64_t* inner = dimensions.begin() + (dimensions.size() - rank);
    lead = Shape(dimensions.begin(), inner);
    own = Shape(inner, dimensions.begin() + dimensions.size());
    own_size = own.product();
  }

  // The array of trial k of those in `trials`, the leading dimensions of the results.
  float* of(int64_t k, const Shape& trials) const {
    int64_t at = 0, stride = own_size;
    for (size_t d = trials.size(); d-- > 0;) {
      const int64_t index = k % trials[d];
      k /= trials[d];
      if (lead[d] > 1) at += index * stride;
      stride *= lead[d];
    }
    return data + at;
  }

  bool fits(const Shape& trials) const {
    if (lead.size() != trials.size()) return false;
    for (size_t d = 0; d < trials.size(); ++d) {
      if (lead[d] != trials[d] && lead[d] != 1) return false;
    }
    return true;
  }
};

// The operands and results of a call, read by position.
class Call {
 public:
  Call(ffi::RemainingArgs args, ffi::RemainingRets rets) : args_(args), rets_(rets) {}

  PerTrial arg(size_t index, size_t rank) {
    auto found = args_.get<ffi::AnyBuffer>(index);
    expect(found.has_value(), "too few operands");
    return found.has_value() ? buffer(*found, rank) : PerTrial();
  }

  PerTrial ret(size_t index, size_t rank) {
    auto found = rets_.get<ffi::AnyBuffer>(index);
    expect(found.has_value(), "too few results");
    return found.has_value() ? buffer(**found, rank) : PerTrial();
  }

  void expect(bool holds, const char* what) {
    if (!holds && !error_) error_ = what;
  }

  void expect_shape(const PerTrial& found, std::initializer_list<int64_t> own, const char* what) {
    expect(found.own == Shape(own), what);
  }

  void expect_trials(const PerTrial& found, const Shape& trials) {
    expect(found.fits(trials), "leading dimensions of operands and results do not match");
  }

  bool failed() const { return error_ != nullptr; }
  ffi::Error error() const { return refused(error_); }

 private:
  PerTrial buffer(ffi::AnyBuffer found, size_t rank) {
    const size_t n = found.dimensions().size();
    expect(found.element_type() == ffi::F32, "an operand or result is not float32");
    expect(n >= rank, "an operand or result has too few dimensions");
    expect(n <= Shape::kMost, "an operand or result has too many dimensions");
    if (failed()) return PerTrial();
    return PerTrial(static_cast<float*>(found.untyped_data()), found.dimensions(), rank);
  }

  ffi::RemainingArgs args_;
  ffi::RemainingRets rets_;
  const char* error_ = nullptr;
};

// ---- threads ----

// Work that threads take from, one trial at a time. It outlives the call: a thread that begins late
// finds nothing left and must not look at the caller's memory.
struct Queue {
  int64_t count;
  std::function<void(int64_t)> work;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable all_done;

  void take() {
    for (int64_t k = next++; k < count; k = next++) {
      work(k);
      if (++done == count) {
        std::lock_guard<std::mutex> lock(mutex);
        all_done.notify_all();
      }
    }
  }
};

// work(k) for every trial; the caller works too, so that it never waits for a thread to begin.
template <typename Work>
void for_trials(ffi::ThreadPool& pool, int64_t count, Work&& work) {
  if (count == 1) return work(int64_t{0});
  auto queue = std::make_shared<Queue>();
  queue->count = count;
  queue->work = work;
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  for (int64_t k = 0; k < helpers; ++k) pool.Schedule([queue] { queue->take(); });
  queue->take();
  std::unique_lock<std::mutex> lock(queue->mutex);
  queue->all_done.wait(lock, [&] { return queue->done == count; });
}

}  // namespace gridscape

#endif  // GRIDSCAPE_CALLS_H_
