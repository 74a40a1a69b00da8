// Messages over Open MPI for Node: start, send, receive, finish, and nothing else; src/training/collectives makes collectives of them.
// One thread of our own makes every MPI call (level SERIALIZED), so the event loop never waits. It tests all requests in turn and sleeps
// between rounds where nothing moved: MPI's own waiting calls would keep a core busy that computes gradients, and know no deadline.
#include <dlfcn.h>
#include <mpi.h>
#include <node_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

enum class Kind { start, send, receive, finish };

struct Request {
  Kind kind;
  int peer = 0, tag = 0;
  void* data = nullptr;
  int bytes = 0;
  Clock::time_point deadline;
  MPI_Request handle = MPI_REQUEST_NULL;
  // Empty where it went well, "late" at the deadline, "abandoned" where nobody waits any more, else what MPI says.
  std::string outcome;
  napi_deferred deferred = nullptr;
  napi_ref kept = nullptr;  // the array, which JS must not collect meanwhile
};

// Open MPI can be started once a process.
std::atomic<bool> taken{false};

struct World {
  std::thread thread;
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::unique_ptr<Request>> incoming;
  bool ending = false, abandoned = false;
  std::atomic<bool> inside{false};  // a call that blocks: starting, finishing
  int rank = 0, size = 0;
  int pending = 0;  // touched by the event loop only
  bool running = false;
  napi_threadsafe_function settled = nullptr;
};
World world;

std::string said(int code) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  return MPI_Error_string(code, text, &length) == MPI_SUCCESS ? std::string(text, length) : "error " + std::to_string(code);
}

std::string start_mpi() {
  // Open MPI loads its parts with dlopen, and they look for its symbols among the global ones; Node loads addons with local ones.
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(&MPI_Init_thread), &info) || !dlopen(info.dli_fname, RTLD_NOW | RTLD_GLOBAL))
    return std::string("libmpi can't be made visible: ") + (dlerror() ?: "not found");
  int level = 0;
  if (int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level)) return said(code);
  if (level < MPI_THREAD_SERIALIZED) return "this MPI allows no thread of our own (MPI_THREAD_SERIALIZED)";
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  return {};
}

// Whether it is over already.
bool begin(Request& r) {
  int code = MPI_SUCCESS;
  switch (r.kind) {
    case Kind::start:
      world.inside = true;
      r.outcome = start_mpi();
      world.inside = false;
      return true;
    case Kind::finish:
      world.inside = true;
      code = MPI_Finalize();
      world.inside = false;
      if (code) r.outcome = said(code);
      return true;
    case Kind::send: code = MPI_Isend(r.data, r.bytes, MPI_BYTE, r.peer, r.tag, MPI_COMM_WORLD, &r.handle); break;
    case Kind::receive: code = MPI_Irecv(r.data, r.bytes, MPI_BYTE, r.peer, r.tag, MPI_COMM_WORLD, &r.handle); break;
  }
  if (code) r.outcome = said(code);
  return code != MPI_SUCCESS;
}

bool over(Request& r) {
  int done = 0;
  MPI_Status status{};
  if (int code = MPI_Test(&r.handle, &done, &status)) {
    r.outcome = said(code);
    return true;
  }
  if (!done) return false;
  int count = r.bytes;
  if (r.kind == Kind::receive) MPI_Get_count(&status, MPI_BYTE, &count);
  if (count != r.bytes) r.outcome = "sent " + std::to_string(count) + " bytes where " + std::to_string(r.bytes) + " are expected";
  return true;
}

void settle_later(std::unique_ptr<Request> request) {
  if (napi_call_threadsafe_function(world.settled, request.get(), napi_tsfn_blocking) == napi_ok) request.release();
}

// MPI may still write to the buffer: it stays with us, and so does the reference to it.
void leave(std::unique_ptr<Request> request, const char* outcome) {
  request->outcome = outcome;
  settle_later(std::move(request));
}

void drive() {
  std::vector<std::unique_ptr<Request>> active;
  int idle = 0;
  for (;;) {
    std::vector<std::unique_ptr<Request>> fresh;
    bool abandoned = false;
    {
      std::unique_lock lock(world.mutex);
      if (active.empty()) world.wake.wait(lock, [] { return world.ending || !world.incoming.empty(); });
      if (world.ending) return;
      fresh.swap(world.incoming);
      abandoned = world.abandoned;
    }
    if (abandoned) {
      for (auto* list : {&fresh, &active}) {
        for (auto& request : *list) leave(std::move(request), "abandoned");
        list->clear();
      }
      continue;
    }
    bool moved = !fresh.empty();
    for (auto& request : fresh) {
      if (begin(*request)) settle_later(std::move(request));
      else active.push_back(std::move(request));
    }
    const auto now = Clock::now();
    for (size_t i = 0; i < active.size();) {
      Request& r = *active[i];
      if (over(r)) settle_later(std::move(active[i]));
      else if (now > r.deadline) leave(std::move(active[i]), "late");
      else {
        i++;
        continue;
      }
      active.erase(active.begin() + i);
      moved = true;
    }
    idle = moved ? 0 : idle + 1;
    if (idle > 200) std::this_thread::sleep_for(std::chrono::microseconds(idle > 2000 ? 200 : 20));
    else if (idle > 0) std::this_thread::yield();
  }
}

napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, "FRUGAL_MPI", message);
  return nullptr;
}

void settle(napi_env env, napi_value, void*, void* raw) {
  std::unique_ptr<Request> request(static_cast<Request*>(raw));
  if (!env) return;
  if (request->kept && request->outcome != "late" && request->outcome != "abandoned") napi_delete_reference(env, request->kept);
  if (--world.pending == 0) napi_unref_threadsafe_function(env, world.settled);
  napi_value value;
  if (request->kind == Kind::start && request->outcome.empty()) {
    napi_create_array_with_length(env, 2, &value);
    const int numbers[] = {world.rank, world.size};
    for (uint32_t i = 0; i < 2; i++) {
      napi_value number;
      napi_create_int32(env, numbers[i], &number);
      napi_set_element(env, value, i, number);
    }
  } else napi_create_string_utf8(env, request->outcome.data(), request->outcome.size(), &value);
  napi_resolve_deferred(env, request->deferred, value);
}

napi_value enqueue(napi_env env, std::unique_ptr<Request> request) {
  napi_value promise;
  napi_create_promise(env, &request->deferred, &promise);
  if (world.pending++ == 0) napi_ref_threadsafe_function(env, world.settled);
  {
    std::lock_guard lock(world.mutex);
    world.incoming.push_back(std::move(request));
  }
  world.wake.notify_one();
  return promise;
}

// start() -> promise of [rank, size], or of what went wrong.
napi_value start(napi_env env, napi_callback_info) {
  if (taken.exchange(true)) return fail(env, "start: MPI can be started once a process");
  napi_value name;
  napi_create_string_utf8(env, "frugal-mpi", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr, settle, &world.settled) != napi_ok)
    return fail(env, "start: no thread-safe function");
  napi_unref_threadsafe_function(env, world.settled);
  try {
    world.thread = std::thread(drive);
  } catch (const std::exception&) { return fail(env, "start: no thread can be started"); }
  world.running = true;
  napi_add_env_cleanup_hook(
      env,
      [](void*) {
        {
          std::lock_guard lock(world.mutex);
          world.ending = true;
        }
        world.wake.notify_all();
        // A call that blocks may wait for a rank that is gone.
        if (world.inside) world.thread.detach();
        else world.thread.join();
      },
      nullptr);
  auto request = std::make_unique<Request>();
  request->kind = Kind::start;
  return enqueue(env, std::move(request));
}

// send(to, tag, bytes, milliseconds), receive(from, tag, bytes, milliseconds) -> promise of the outcome. `bytes` is a Uint8Array.
napi_value message(napi_env env, napi_callback_info info, Kind kind) {
  napi_value values[4];
  size_t count = 4, length = 0;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  auto request = std::make_unique<Request>();
  request->kind = kind;
  double milliseconds = 0;
  napi_typedarray_type type;
  if (count < 4 || napi_get_value_int32(env, values[0], &request->peer) != napi_ok ||
      napi_get_value_int32(env, values[1], &request->tag) != napi_ok ||
      napi_get_typedarray_info(env, values[2], &type, &length, &request->data, nullptr, nullptr) != napi_ok ||
      napi_get_value_double(env, values[3], &milliseconds) != napi_ok)
    return fail(env, "message: needs peer, tag, bytes, milliseconds");
  if (!world.running) return fail(env, "message: start first");
  if (type != napi_uint8_array || length > INT32_MAX) return fail(env, "message: needs a Uint8Array of at most 2^31 - 1 bytes");
  if (request->peer < 0 || request->peer >= world.size || request->tag < 0 || request->tag > 32767)
    return fail(env, "message: no such rank or tag");
  request->bytes = int(length);
  request->deadline = Clock::now() + std::chrono::microseconds(int64_t(1e3 * std::min(std::max(milliseconds, 0.0), 1e12)));
  napi_create_reference(env, values[2], 1, &request->kept);
  return enqueue(env, std::move(request));
}
napi_value send(napi_env env, napi_callback_info info) { return message(env, info, Kind::send); }
napi_value receive(napi_env env, napi_callback_info info) { return message(env, info, Kind::receive); }

// finish() -> promise of the outcome; nothing may be called after it.
napi_value finish(napi_env env, napi_callback_info) {
  if (!world.running) return fail(env, "finish: start first");
  auto request = std::make_unique<Request>();
  request->kind = Kind::finish;
  return enqueue(env, std::move(request));
}

// abandon(): all that waits, and all that follows, ends with "abandoned".
napi_value abandon(napi_env, napi_callback_info) {
  {
    std::lock_guard lock(world.mutex);
    world.abandoned = true;
  }
  world.wake.notify_one();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"start", start}, {"send", send}, {"receive", receive}, {"finish", finish}, {"abandon", abandon}};
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
  return exports;
}
