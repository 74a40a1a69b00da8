// Pages of the cache as bytes: what was written comes back, copies are in order and of the named layers alone, and what is not there is refused.
#include "../runtime/model.h"
#include "check.h"

namespace frugal::test {

using Numbers = std::vector<int32_t>;

static std::vector<uint8_t> read(const Model& model, const Numbers& layers, const Numbers& pages) {
  std::vector<uint8_t> bytes(model.page_bytes(layers) * pages.size());
  CHECK(model.read_pages(layers, pages, bytes.data(), bytes.size()), "pages are not read");
  return bytes;
}

KERNEL_TEST(cache_pages) {
  for (const int format : {Cache::f32, Cache::f16, Cache::q8_0, Cache::q4_0}) {
    describe(print("%s, cache format %d", set.name, format));
    Model model(set, 1);
    CHECK(model.allocate(0, 64, format, {2, 8, 5, 4, 0, 0, 0, 0, 1, 40, 17, 3}), "no memory");
    const Numbers first = {0}, last = {2}, both = {0, 2};
    CHECK(model.page_bytes(both) == model.page_bytes(first) + model.page_bytes(last) && model.page_bytes({1}) == 0, "bytes of a page");
    CHECK(model.cache_bytes() == 4 * model.page_bytes(first) + 3 * model.page_bytes(last), "bytes of the cache");

    std::vector<uint8_t> bytes(model.page_bytes(both) * 2);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = uint8_t(i * 7 + i / 256);
    CHECK(model.write_pages(both, {2, 0}, bytes.data(), bytes.size()), "pages are not written");
    CHECK(read(model, both, {2, 0}) == bytes, "what was written does not come back");
    CHECK(read(model, both, {1}) == std::vector<uint8_t>(model.page_bytes(both)), "another page was written");

    const auto old = read(model, last, {0, 1, 2}), page = read(model, first, {2});
    CHECK(model.copy_pages(first, {2, 3, 3}, {3, 1, 3}), "pages are not copied");
    CHECK(read(model, first, {3}) == page && read(model, first, {1}) == page, "copies are not in order");
    CHECK(read(model, last, {0, 1, 2}) == old, "another layer was copied");

    uint8_t* const none = bytes.data();
    CHECK(!model.copy_pages(both, {0}, {3}) && !model.copy_pages(both, {-1}, {0}) && !model.copy_pages(first, {0, 1}, {2}), "copied");
    CHECK(!model.copy_pages({3}, {0}, {1}) && !model.copy_pages({-1}, {0}, {1}) && model.page_bytes({3}) == 0, "a layer that is not there");
    CHECK(!model.read_pages(first, {4}, none, model.page_bytes(first)) && !model.read_pages(first, {0}, none, 1), "read");
    CHECK(!model.write_pages(first, {INT32_MIN}, none, model.page_bytes(first)) && !model.write_pages(first, {0, 1}, none, 1), "written");
    CHECK(model.copy_pages({}, {}, {}) && read(model, both, {}).empty(), "nothing to do is refused");
  }
}

}  // namespace frugal::test
