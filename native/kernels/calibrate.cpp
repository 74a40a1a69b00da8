// Loops that run into one limit of the machine each: reading memory, multiply-adds of numbers, dot products of bytes.
#include "../runtime/calibrate.h"
#include "kernel.h"

namespace frugal::FRUGAL_ISA {

// Enough chains of dependent additions to hide an instruction's latency, and few enough for 16 registers.
constexpr int kChains = 10;

// Each round reads all bytes once, from four places at a time, as the parts of a weight are read.
static double read_memory(const uint8_t* data, size_t bytes, int64_t rounds, int32_t* sink) {
  constexpr size_t vector = sizeof(Bytes);
  const size_t quarter = bytes / 4 / (2 * vector) * (2 * vector);
  Bytes mixed[4] = {};
  for (int64_t round = 0; round < rounds; ++round)
    for (size_t i = 0; i < quarter; i += 2 * vector) {
#pragma GCC unroll 4
      for (int stream = 0; stream < 4; ++stream) {
        const uint8_t* p = data + size_t(stream) * quarter + i;
        mixed[stream] ^= load_bytes(p) ^ load_bytes(p + vector);
      }
    }
  const Bytes all = mixed[0] ^ mixed[1] ^ mixed[2] ^ mixed[3];
  memcpy(sink, &all, sizeof *sink);
  return double(rounds) * 4 * double(quarter);
}

static double multiply_add(int64_t rounds, int32_t* sink) {
  F32 chain[kChains];
  for (int j = 0; j < kChains; ++j) chain[j] = splat(float(j));
  const F32 factor = splat(0.999f), addend = splat(1e-6f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int j = 0; j < kChains; ++j) chain[j] = fma(chain[j], factor, addend);
  }
  F32 all = chain[0];
  for (int j = 1; j < kChains; ++j) all += chain[j];
  memcpy(sink, &all, sizeof *sink);
  return double(rounds) * kChains * kLanes * 2;
}

static double dot_bytes(int64_t rounds, int32_t* sink) {
  I32 chain[kChains] = {};
  Bytes codes = splat_byte(3);
  const Bytes activations = splat_byte(5);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
    for (int j = 0; j < kChains; ++j) {
      in_order(codes);  // else the product, always the same, leaves the loop
      chain[j] = dot4(codes, activations, chain[j]);
    }
  }
  I32 all = chain[0];
  for (int j = 1; j < kChains; ++j) all += chain[j];
  memcpy(sink, &all, sizeof *sink);
  return double(rounds) * kChains * kLanes * 8;
}

}  // namespace frugal::FRUGAL_ISA

extern "C" double FRUGAL_CAT(frugal_probe, FRUGAL_ISA)(int probe, const uint8_t* data, size_t bytes, int64_t rounds, int32_t* sink) {
  using namespace frugal::FRUGAL_ISA;
  switch (frugal::Probe(probe)) {
    case frugal::Probe::read: return read_memory(data, bytes, rounds, sink);
    case frugal::Probe::f32: return multiply_add(rounds, sink);
    case frugal::Probe::int8: return dot_bytes(rounds, sink);
  }
  return 0;
}
