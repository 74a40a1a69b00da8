// The Node-API face of the core. Every function checks its arguments and returns a value or throws a JS error; nothing here computes on the event loop.
// Work that takes time runs on a model's driver thread, one job after the other, and settles a promise through one thread-safe function.
#include <node_api.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../runtime/calibrate.h"
#include "../runtime/dispatch.h"
#include "../runtime/model.h"
#include "driver.h"
#include "node-values.h"

namespace {

using frugal::Binding;
using frugal::Outcome;

// sets() -> names of the kernel sets this processor runs, best first.
napi_value sets(napi_env env, napi_callback_info) {
  const char* names[8];
  const int n = frugal::available_kernels(names, 8);
  napi_value result;
  napi_create_array(env, &result);
  for (int i = 0; i < n; ++i) napi_set_element(env, result, uint32_t(i), string(env, names[i]));
  return result;
}

// JS holds the context no longer.
void finalize(napi_env, void* data, void*) {
  auto* context = static_cast<Context*>(data);
  context->end();
  context->model.reset();
  if (context->settled) napi_release_threadsafe_function(context->settled, napi_tsfn_release);
  context->settled = nullptr;
  context->let_go();
}

// The thread-safe function is about to go: released above or after dispose(), or because the process exits with the driver still at work.
void closed(napi_env, void* data, void*) {
  auto* context = static_cast<Context*>(data);
  context->end();
  context->settled = nullptr;
  context->let_go();
}

// create(threads, set) -> context
napi_value create(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  int64_t threads = 0;
  if (a.count < 2 || napi_get_value_int64(env, a.value[0], &threads) != napi_ok || threads < 1 || threads > 1024)
    return fail(env, "create: threads must be 1 to 1024");
  const auto* set = frugal::choose_kernels(text(env, a.value[1]).c_str());
  if (!set) return fail(env, "create: this processor does not run that kernel set");
  auto* context = new Context;
  napi_value name, external;
  napi_create_string_utf8(env, "frugal", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, context, closed, context, settle, &context->settled) != napi_ok) {
    delete context;
    return fail(env, "create: no thread-safe function");
  }
  napi_unref_threadsafe_function(env, context->settled);
  try {
    context->model = std::make_unique<frugal::Model>(*set, int(threads));
    context->driver = std::thread([context] { context->drive(); });
  } catch (const std::exception& e) {
    const std::string message = e.what();
    finalize(env, context, nullptr);
    return fail(env, message.c_str());
  }
  napi_create_external(env, context, finalize, nullptr, &external);
  return external;
}

// addVector(context, numbers) -> index
napi_value add_vector(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  Typed t;
  if (!context || !typed(env, a.value[1], t) || t.bytes % 4 != 0) return fail(env, "addVector: context and a 32-bit array");
  return number(env, context->model->add_vector(t.data, int64_t(t.bytes / 4)));
}

// addMatrix(context, type, rows, inputs, experts) -> index or -1
napi_value add_matrix(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  if (!context) return fail(env, "addMatrix: context");
  return number(env, context->model->add_matrix(int(a.integer(1)), a.integer(2), a.integer(3), a.integer(4)));
}

// addCoarse(context, matrix) -> index or -1
napi_value add_coarse(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  if (!context) return fail(env, "addCoarse: context");
  return number(env, context->model->add_coarse(int(a.integer(1))));
}

// fill(context, paths, sources, buffers, cancel) -> promise of "" or what went wrong.
// sources: 5 numbers each: matrix, path (or -1 - buffer), offset, rows, 0.
napi_value fill(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  Typed t;
  if (!context || a.count < 5 || !typed(env, a.value[2], t) || t.bytes != t.count * 8)
    return fail(env, "fill: context, paths, sources, buffers, cancel");
  auto job = std::make_unique<Job>();
  auto paths = std::make_shared<std::vector<std::string>>();
  for (napi_value value : list(env, a.value[1])) paths->push_back(text(env, value));
  std::vector<Typed> buffers;
  for (napi_value value : list(env, a.value[3])) {
    Typed buffer;
    if (!typed(env, value, buffer)) return fail(env, "fill: buffers must be typed arrays");
    keep(env, *job, value);
    buffers.push_back(buffer);
  }
  auto sources = std::make_shared<std::vector<frugal::RowSource>>();
  const double* numbers = static_cast<const double*>(t.data);
  for (size_t i = 0; i + 4 < t.count; i += 5) {
    const int place = int(numbers[i + 1]);
    if (place >= int(paths->size()) || -1 - place >= int(buffers.size())) return fail(env, "fill: no such source");
    sources->push_back({int(numbers[i]), place, place < 0 ? static_cast<const uint8_t*>(buffers[size_t(-1 - place)].data) : nullptr,
                        uint64_t(numbers[i + 2]), int64_t(numbers[i + 3])});
  }
  const auto* cancel = flag(env, *job, a.value[4]);
  auto result = std::make_shared<std::string>();
  context->progress = 0;
  job->work = [context, paths, sources, cancel, result] {
    try {
      *result = context->model->fill(*paths, *sources, context->progress, cancel);
    } catch (const std::bad_alloc&) { *result = "memory"; } catch (const std::exception& e) {
      *result = e.what();
    }
  };
  job->settle = [result](napi_env e, napi_deferred d) { napi_resolve_deferred(e, d, string(e, *result)); };
  return enqueue(env, a.value[0], context, std::move(job));
}

// progress(context) -> bytes of weights packed so far
napi_value progress(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  return number(env, context ? double(context->progress.load()) : 0);
}

// addProgram(context, words) -> index or -1
napi_value add_program(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  Typed t;
  if (!context || !typed(env, a.value[1], t)) return fail(env, "addProgram: context and words");
  return number(env, context->model->add_program(static_cast<const int32_t*>(t.data), t.bytes / 4));
}

// allocate(context, arena bytes, scratch bytes, cache format, layers) -> true, or false where memory is short
napi_value allocate(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  Typed t;
  if (!context || a.count < 5 || !typed(env, a.value[4], t)) return fail(env, "allocate: context, arena, scratch, format, layers");
  const auto* layers = static_cast<const int32_t*>(t.data);
  bool good = false;
  try {
    good = context->model->allocate(size_t(a.integer(1)), size_t(a.integer(2)), int(a.integer(3)),
                                    std::vector<int32_t>(layers, layers + t.count));
  } catch (const std::exception&) { good = false; }
  napi_value value;
  napi_get_boolean(env, good, &value);
  return value;
}

// memory(context) -> [weights, cache] bytes
napi_value memory(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  if (!context) return fail(env, "memory: context");
  napi_value result;
  napi_create_array(env, &result);
  napi_set_element(env, result, 0, number(env, double(context->model->weight_bytes())));
  napi_set_element(env, result, 1, number(env, double(context->model->cache_bytes())));
  return result;
}

// run(context, program, symbols, inputs, outputs, cancel) -> promise of [kind, step, fault, kernel, detail]
napi_value run(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  Typed symbols;
  if (!context || a.count < 6 || !typed(env, a.value[2], symbols) || symbols.bytes != 16)
    return fail(env, "run: context, program, symbols, inputs, outputs, cancel");
  auto job = std::make_unique<Job>();
  struct State {
    int program;
    int32_t symbols[4];
    std::vector<Binding> inputs, outputs;
    Outcome outcome;
  };
  auto state = std::make_shared<State>();
  state->program = int(a.integer(1));
  memcpy(state->symbols, symbols.data, 16);
  for (int which = 3; which <= 4; ++which)
    for (napi_value value : list(env, a.value[which])) {
      Typed t;
      if (!typed(env, value, t) || t.bytes % 4 != 0) return fail(env, "run: inputs and outputs must be 32-bit arrays");
      keep(env, *job, value);
      (which == 3 ? state->inputs : state->outputs).push_back({t.data, int64_t(t.bytes / 4)});
    }
  const auto* cancel = flag(env, *job, a.value[5]);
  job->work = [context, state, cancel] {
    try {
      state->outcome = context->model->run(state->program, state->symbols, state->inputs, state->outputs, cancel);
    } catch (const std::exception&) { state->outcome = {Outcome::bad_binding, -1, 0, 0, 0}; }
  };
  job->settle = [state](napi_env e, napi_deferred d) {
    napi_value result;
    napi_create_array(e, &result);
    const Outcome& o = state->outcome;
    const int values[5] = {int(o.kind), o.step, o.fault_code, o.kernel, o.detail};
    for (uint32_t i = 0; i < 5; ++i) napi_set_element(e, result, i, number(e, values[i]));
    napi_resolve_deferred(e, d, result);
  };
  return enqueue(env, a.value[0], context, std::move(job));
}

// pageBytes(context, layers) -> bytes that these layers keep in a page
napi_value page_bytes(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  std::vector<int32_t> layers;
  if (!context || !whole_numbers(env, a.value[1], layers)) return fail(env, "pageBytes: context, layers");
  return number(env, double(context->model->page_bytes(layers)));
}

// copyPages(context, layers, from, to), readPages and writePages(context, layers, pages, bytes) -> promise of whether it could be done
enum class Move { copy, read, write };
template <Move kMove> napi_value move_pages(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  struct State {
    std::vector<int32_t> layers, pages, to;
    Typed bytes;
    bool done = false;
  };
  auto state = std::make_shared<State>();
  if (!context || a.count < 4 || !whole_numbers(env, a.value[1], state->layers) || !whole_numbers(env, a.value[2], state->pages) ||
      !(kMove == Move::copy ? whole_numbers(env, a.value[3], state->to) : typed(env, a.value[3], state->bytes)))
    return fail(env, "pages: context, layers, pages, and pages or bytes");
  auto job = std::make_unique<Job>();
  keep(env, *job, a.value[3]);
  job->work = [context, state] {
    auto* bytes = static_cast<uint8_t*>(state->bytes.data);
    if constexpr (kMove == Move::copy) state->done = context->model->copy_pages(state->layers, state->pages, state->to);
    else if constexpr (kMove == Move::read)
      state->done = context->model->read_pages(state->layers, state->pages, bytes, state->bytes.bytes);
    else state->done = context->model->write_pages(state->layers, state->pages, bytes, state->bytes.bytes);
  };
  job->settle = [state](napi_env e, napi_deferred d) {
    napi_value value;
    napi_get_boolean(e, state->done, &value);
    napi_resolve_deferred(e, d, value);
  };
  return enqueue(env, a.value[0], context, std::move(job));
}

// dispose(context) -> promise; runs under way finish first, then threads end and memory goes back.
napi_value dispose(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  Context* context = a.context();
  if (!context) return fail(env, "dispose: context");
  auto job = std::make_unique<Job>();
  job->work = [context] {
    context->model.reset();
#if defined(__GLIBC__)
    malloc_trim(0);  // else the C library keeps what was freed, on this thread's behalf and others'
#endif
  };
  job->settle = [context](napi_env e, napi_deferred d) {
    context->end();
    if (context->settled) napi_release_threadsafe_function(context->settled, napi_tsfn_release);
    context->settled = nullptr;
    napi_value undefined;
    napi_get_undefined(e, &undefined);
    napi_resolve_deferred(e, d, undefined);
  };
  return enqueue(env, a.value[0], context, std::move(job));
}

// calibrate(kind, threads, set) -> promise of bytes or operations a second, 0 where memory is short. Kinds: native/runtime/calibrate.h.
struct Calibration {
  frugal::Probe probe;
  const frugal::KernelSet* set;
  int threads;
  double rate = 0;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};
napi_value calibrate(napi_env env, napi_callback_info info) {
  Arguments a(env, info);
  const int64_t kind = a.integer(0), threads = a.integer(1);
  if (a.count < 3 || kind < 0 || kind >= frugal::kProbes) return fail(env, "calibrate: no such kind");
  if (threads < 1 || threads > 1024) return fail(env, "calibrate: threads must be 1 to 1024");
  const auto* set = frugal::choose_kernels(text(env, a.value[2]).c_str());
  if (!set) return fail(env, "calibrate: this processor does not run that kernel set");
  auto* calibration = new Calibration{frugal::Probe(kind), set, int(threads)};
  napi_value promise, name;
  napi_create_promise(env, &calibration->deferred, &promise);
  napi_create_string_utf8(env, "frugal", NAPI_AUTO_LENGTH, &name);
  napi_create_async_work(
      env, nullptr, name,
      [](napi_env, void* data) {
        auto* c = static_cast<Calibration*>(data);
        try {
          c->rate = frugal::calibrate(c->set->probe, c->probe, c->threads);
        } catch (const std::exception&) {
          c->rate = 0;  // no thread could be started
        }
      },
      [](napi_env e, napi_status, void* data) {
        std::unique_ptr<Calibration> c(static_cast<Calibration*>(data));
        napi_resolve_deferred(e, c->deferred, number(e, c->rate));
        napi_delete_async_work(e, c->work);
      },
      calibration, &calibration->work);
  napi_queue_async_work(env, calibration->work);
  return promise;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"sets", sets},
                   {"create", create},
                   {"addVector", add_vector},
                   {"addMatrix", add_matrix},
                   {"addCoarse", add_coarse},
                   {"fill", fill},
                   {"progress", progress},
                   {"addProgram", add_program},
                   {"allocate", allocate},
                   {"memory", memory},
                   {"pageBytes", page_bytes},
                   {"copyPages", move_pages<Move::copy>},
                   {"readPages", move_pages<Move::read>},
                   {"writePages", move_pages<Move::write>},
                   {"run", run},
                   {"dispose", dispose},
                   {"calibrate", calibrate}};
  for (const auto& f : functions) {
    napi_value value;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.call, nullptr, &value);
    napi_set_named_property(env, exports, f.name, value);
  }
  return exports;
}
