// Packing: exactly the areas it is given, whatever the alignment of the rows; and rows read back are the format's own decoding.
#include <math.h>
#include <string.h>

#include "stored.h"
#include "trial.h"

namespace frugal::test {

static std::vector<uint8_t> pack(const KernelSet& set, const Format& format, const uint8_t* rows, size_t stride, int count,
                                 int64_t inputs) {
  const size_t codes = packed_group_bytes(format.type, inputs), scales = packed_scale_bytes(format.type, inputs);
  const Fenced code_area(nullptr, int64_t(codes / 4)), scale_area(nullptr, int64_t(scales / 4));
  set.pack_group(format.type, rows, stride, count, inputs, static_cast<uint8_t*>(code_area.data()),
                 static_cast<uint8_t*>(scale_area.data()));
  std::vector<uint8_t> packed(codes + scales);
  memcpy(packed.data(), code_area.data(), codes);
  if (scales > 0) memcpy(packed.data() + codes, scale_area.data(), scales);
  return packed;
}

KERNEL_TEST(packing_alignment) {
  for (const Format& format : formats())
    for (const int count : {1, 7, 16}) {
      describe(print("%s %s, %d rows", set.name, format.name, count));
      Random random(format.type + count);
      const int64_t inputs = 2 * format.least();
      const size_t row_bytes = size_t(format.row_bytes(inputs));
      const auto stored = random_rows(format, count, inputs, random);
      const auto expected = pack(set, format, stored.data(), row_bytes, count, inputs);
      for (const size_t shift : {1, 2, 3, 5}) {
        // Exactly as long as the rows, so that the sanitizer sees a byte read behind them.
        const size_t stride = row_bytes + shift, bytes = shift + size_t(count) * stride - shift;
        const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes]);
        for (int r = 0; r < count; ++r) memcpy(copy.get() + shift + size_t(r) * stride, stored.data() + size_t(r) * row_bytes, row_bytes);
        CHECK(pack(set, format, copy.get() + shift, stride, count, inputs) == expected, "rows %zu bytes off pack differently", shift);
      }
    }
}

KERNEL_TEST(gather_is_decoding) {
  for (const Format& format : formats())
    for (const int rows : {1, 16, 33}) {
      describe(print("%s %s, %d rows", set.name, format.name, rows));
      Random random(format.type + rows);
      const int64_t inputs = format.coded() ? format.block : 37;
      const auto stored = random_rows(format, rows, inputs, random);
      const auto elements = decode(format, stored.data(), rows * inputs);
      const auto order = random.order(rows);
      Trial trial(set, 2);
      const Place table = trial.matrix(format.type, rows, inputs, stored), ids = trial.input(order, {rows}),
                  y = trial.output({rows, inputs});
      trial.step(kKernel_gather, {table, ids, y}, {rows});
      trial.must_run();
      for (int64_t i = 0; i < rows * inputs; ++i) {
        const Element& e = elements[size_t(order[size_t(i / inputs)] * inputs + i % inputs)];
        const float got = trial.floats(y)[i];
        // Floats are exact; codes round once for the scale, once for the product and once for the minimum.
        const double allowed = format.coded() ? e.magnitude() * 0x1p-23 : 0;
        CHECK(fabs(got - e.value()) <= allowed, "row %lld, input %lld: %.9g, should be %.9g", whole(i / inputs), whole(i % inputs), got,
              e.value());
      }
    }
}

// All finite values of F16 and BF16.
KERNEL_TEST(gather_every_half) {
  for (const Format& format : formats()) {
    if (format.type != 1 && format.type != 30) continue;
    std::vector<uint16_t> halves(65536);
    const size_t exponent = format.type == 1 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = (i & exponent) == exponent ? uint16_t(0) : uint16_t(i);
    std::vector<uint8_t> stored(131072);
    memcpy(stored.data(), halves.data(), stored.size());
    Trial trial(set);
    const Place table = trial.matrix(format.type, 256, 256, stored), y = trial.output({256, 256});
    std::vector<int32_t> ids(256);
    for (int i = 0; i < 256; ++i) ids[size_t(i)] = i;
    trial.step(kKernel_gather, {table, trial.input(ids, {256}), y}, {256});
    trial.must_run();
    for (int64_t i = 0; i < 65536; ++i) {
      const double expected = format.element(stored.data() + 2 * i, 0).scaled, got = trial.floats(y)[i];
      CHECK(got == expected, "%s %s %04llx: %g, should be %g", set.name, format.name, whole(i), got, expected);
    }
  }
}

KERNEL_TEST(gather_plain_rows) {
  Random random(3);
  const auto table = random.normals(7 * 5);
  Trial trial(set, 2);
  const Place ids = trial.input(std::vector<int32_t>{6, 0, 6, 3}, {4}), y = trial.output({4, 5});
  trial.step(kKernel_gather, {trial.input(table, {7, 5}), ids, y}, {-1});
  trial.must_run();
  for (int i = 0; i < 20; ++i) CHECK(trial.floats(y)[i] == table[size_t(trial.ids(ids)[i / 5] * 5 + i % 5)], "element %d", i);
}

KERNEL_TEST(gather_refuses_ids) {
  Random random(4);
  for (const int32_t id : {-1, 33, INT32_MIN, INT32_MAX})
    for (const bool packed : {false, true}) {
      Trial trial(set, 2);
      const Place table =
          packed ? trial.matrix(0, 33, 32, random_rows(formats()[0], 33, 32, random)) : trial.input(random.normals(33 * 32), {33, 32});
      trial.step(kKernel_gather, {table, trial.input(std::vector<int32_t>{0, id, 1}, {3}), trial.output({3, 32})}, {packed ? 33 : -1});
      const Outcome outcome = trial.run();
      CHECK(outcome.kind == Outcome::fault && outcome.fault_code == kIdOutOfRange, "id %d: outcome %d, fault %d", id, int(outcome.kind),
            outcome.fault_code);
    }
}

}  // namespace frugal::test
