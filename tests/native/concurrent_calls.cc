// Trials of many calls at once, spread over the threads of one pool, as XLA's devices do.
//
// Built with ThreadSanitizer, two threads that touch the same memory in no order end the program.
// Threads of a pool may begin when a call has ended: its memory is then another's.

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <thread>

#include "calls.h"
#include "dispatch.h"

using namespace gridscape;

namespace {

// A pool behind the functions by which XLA hands out its own.
class Pool {
 public:
  explicit Pool(int64_t size) {
    for (int64_t k = 0; k < size; ++k) threads_.emplace_back([this] { serve(); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    waiting_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void schedule(XLA_FFI_Task* task, void* data) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back({task, data});
    }
    waiting_.notify_one();
  }

  int64_t size() const { return threads_.size(); }

 private:
  struct Task {
    XLA_FFI_Task* run;
    void* data;
  };

  void serve() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      waiting_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const Task task = tasks_.front();
      tasks_.pop_front();
      lock.unlock();
      task.run(task.data);
    }
  }

  std::mutex mutex_;
  std::condition_variable waiting_;
  std::deque<Task> tasks_;
  std::vector<std::thread> threads_;
  bool closed_ = false;
};

Pool* pool_of_all;

XLA_FFI_Error* schedule(XLA_FFI_ThreadPool_Schedule_Args* args) {
  pool_of_all->schedule(args->task, args->data);
  return nullptr;
}

XLA_FFI_Error* count_threads(XLA_FFI_ThreadPool_NumThreads_Args* args) {
  *args->num_threads = pool_of_all->size();
  return nullptr;
}

// One call: trials that share weights and inputs, each with results of its own.
void call(ffi::ThreadPool& pool, const RecurrentKernels& kernels, int64_t trials) {
  const RecurrentSizes n = {3, 4, 2, 17, true};
  const CellKind cell = CellKind::kLstm;
  const RecurrentWorkspace need = kernels.workspace(cell, n, true);
  const int64_t size = n.steps * n.batch * n.hidden;
  const std::vector<float> kernel((n.features + n.hidden) * 4 * n.hidden, 0.1f);
  const std::vector<float> bias(4 * n.hidden, 0.1f), inputs(n.steps * n.batch * n.features, 0.5f);
  const float* weights[] = {kernel.data(), bias.data()};
  std::vector<float> outputs(trials * size), rows(trials * need.rows), kept(trials * need.kept);
  std::vector<float> workspace(trials * need.forward);
  std::vector<int> done(trials);
  for_trials(pool, trials, [&](int64_t k) {
    kernels.forward(cell, n, weights, inputs.data(), true, &outputs[k * size], &rows[k * need.rows],
                    &kept[k * need.kept], &workspace[k * need.forward]);
    ++done[k];
  });
  for (int64_t k = 0; k < trials; ++k) {
    const bool is_first = std::equal(&outputs[k * size], &outputs[k * size] + size, &outputs[0]);
    if (done[k] == 1 && is_first) continue;
    std::fprintf(stderr, "trial %ld of %ld: done %d times\n", long(k), long(trials), done[k]);
    std::exit(1);
  }
}

}  // namespace

int main() {
  Pool pool(3);
  pool_of_all = &pool;
  XLA_FFI_Api api = {};
  api.XLA_FFI_ThreadPool_Schedule = schedule;
  api.XLA_FFI_ThreadPool_NumThreads = count_threads;
  std::vector<std::thread> devices;
  for (int device = 0; device < 3; ++device) {
    devices.emplace_back([&, device] {
      ffi::DiagnosticEngine diagnostic;
      auto threads = *ffi::CtxDecoding<ffi::ThreadPool>::Decode(&api, nullptr, diagnostic);
      for (int64_t round = 0; round < 200; ++round) {
        const bool bfloat16 = (round + device) % 2 == 1;
        call(threads, bfloat16 ? *chosen().recurrent_bfloat16 : *chosen().recurrent, 1 + round % 9);
      }
    });
  }
  for (std::thread& device : devices) device.join();
  std::printf("every trial was done once\n");
  return 0;
}
