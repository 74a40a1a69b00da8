// A model's driver thread: jobs that take time run on it, one after the other, and settle their promises through one thread-safe function.
#pragma once
#include <node_api.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../runtime/model.h"
#include "node-values.h"

namespace {

struct Job {
  std::function<void()> work;
  std::function<void(napi_env, napi_deferred)> settle;
  napi_deferred deferred = nullptr;
  std::vector<napi_ref> kept;  // what JS must not collect meanwhile
  std::atomic<int32_t>* cancel = nullptr;
};

// Owned by the external that JS holds and by the thread-safe function: a process that exits finalizes them in either order.
struct Context {
  std::unique_ptr<frugal::Model> model;
  std::thread driver;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::unique_ptr<Job>> queue;
  std::atomic<int32_t>* cancel = nullptr;  // of the job that runs
  bool ending = false;
  int pending = 0;  // jobs not settled; this and what follows is touched by the event loop only
  int owners = 2;
  napi_threadsafe_function settled = nullptr;
  std::atomic<int64_t> progress{0};

  void drive() {
    for (;;) {
      std::unique_ptr<Job> job;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return ending || !queue.empty(); });
        if (ending) return;
        job = std::move(queue.front());
        queue.pop_front();
        cancel = job->cancel;
      }
      job->work();
      {
        std::lock_guard lock(mutex);
        cancel = nullptr;
      }
      if (napi_call_threadsafe_function(settled, job.get(), napi_tsfn_blocking) == napi_ok) job.release();
    }
  }
  // Stops the job that runs and drops those that wait: nobody is left to hear of them.
  void end() {
    {
      std::lock_guard lock(mutex);
      ending = true;
      if (cancel) *cancel = 1;
    }
    wake.notify_all();
    if (driver.joinable()) driver.join();
  }
  void let_go() {
    if (--owners == 0) delete this;
  }
};

napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, "FRUGAL_NATIVE", message);
  return nullptr;
}

void settle(napi_env env, napi_value, void* data, void* raw) {
  auto* context = static_cast<Context*>(data);
  std::unique_ptr<Job> job(static_cast<Job*>(raw));
  if (!env) return;
  for (napi_ref ref : job->kept) napi_delete_reference(env, ref);
  if (--context->pending == 0) napi_unref_threadsafe_function(env, context->settled);
  job->settle(env, job->deferred);
}

// Arguments.
struct Arguments {
  napi_env env;
  napi_value value[8];
  size_t count = 8;
  Arguments(napi_env e, napi_callback_info info) : env(e) { napi_get_cb_info(e, info, &count, value, nullptr, nullptr); }
  Context* context() const {
    void* p = nullptr;
    if (count < 1 || napi_get_value_external(env, value[0], &p) != napi_ok) return nullptr;
    auto* c = static_cast<Context*>(p);
    return c && c->model ? c : nullptr;
  }
  int64_t integer(size_t i) const {
    int64_t v = 0;
    if (i < count) napi_get_value_int64(env, value[i], &v);
    return v;
  }
};

void keep(napi_env env, Job& job, napi_value value) {
  napi_ref ref;
  if (napi_create_reference(env, value, 1, &ref) == napi_ok) job.kept.push_back(ref);
}
const std::atomic<int32_t>* flag(napi_env env, Job& job, napi_value value) {
  Typed t;
  if (!typed(env, value, t) || t.bytes < 4) return nullptr;
  keep(env, job, value);
  return job.cancel = static_cast<std::atomic<int32_t>*>(t.data);
}

napi_value enqueue(napi_env env, napi_value external, Context* context, std::unique_ptr<Job> job) {
  napi_value promise;
  napi_create_promise(env, &job->deferred, &promise);
  keep(env, *job, external);
  if (context->pending++ == 0) napi_ref_threadsafe_function(env, context->settled);
  {
    std::lock_guard lock(context->mutex);
    context->queue.push_back(std::move(job));
  }
  context->wake.notify_one();
  return promise;
}

}  // namespace
