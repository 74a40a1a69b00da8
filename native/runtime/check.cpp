#include "check.h"

#include "dispatch.h"
#include "rules.h"

namespace frugal {

static bool is_written(const Step& step, int i) {
  const int last = step.array_count - 1;
  switch (step.kernel) {
    case kKernel_cache_write:
    case kKernel_check_finite: return false;
    case kKernel_linear: return i >= 2 && (i - 2) % 5 == 2;
    case kKernel_gemm: return i == 2;
    case kKernel_map: return i >= step.integers[0];
    case kKernel_low_rank_down: return i >= 2 && (i - 2) % 3 == 2;
    case kKernel_low_rank_up: return i >= 1 && (i - 1) % 5 == 4;
    case kKernel_cross_entropy_errors: return i >= 2;
    case kKernel_linear_cross_entropy: return i >= 4;
    case kKernel_rms_norm_gradient:
    case kKernel_layer_norm_gradient: return i >= 3;
    case kKernel_attention_gradient: return i >= 5;
    default: return i == last;
  }
}
// Kernels whose result may lie where an operand lies.
static bool works_in_place(int kernel) {
  switch (kernel) {
    case kKernel_rms_norm:
    case kKernel_layer_norm:
    case kKernel_softmax:
    case kKernel_map:
    case kKernel_binary:
    case kKernel_unary:
    case kKernel_activation:
    case kKernel_glu:
    case kKernel_select:
    case kKernel_rope:
    case kKernel_low_rank_up:
    case kKernel_copy: return true;
    default: return false;
  }
}
static bool results_apart(const Step& step) {
  for (int i = 0; i < step.array_count; ++i) {
    const Array& y = step.arrays[i];
    if (!is_written(step, i) || !y.data) continue;
    for (int j = 0; j < step.array_count; ++j) {
      const Array& x = step.arrays[j];
      if (j == i || !x.data || x.f() >= y.f() + y.size() || y.f() >= x.f() + x.size()) continue;
      if (!works_in_place(step.kernel) || x.data != y.data || x.size() != y.size()) return false;
    }
  }
  return true;
}

static bool follows_rule(const Step& step) {
  const Checker check{step};
  switch (step.kernel) {
    case kKernel_quantize: return check.quantize();
    case kKernel_linear: return check.linear();
    case kKernel_expert_linear: return check.expert_linear();
    case kKernel_coarse_linear: return check.coarse_linear();
    case kKernel_picked_linear: return check.picked_linear();
    case kKernel_expert_matmul: return check.expert_matmul();
    case kKernel_gemm: return check.gemm();
    case kKernel_gather: return check.gather();
    case kKernel_cache_write: return check.cache_write();
    case kKernel_cache_attend: return check.cache_attend();
    case kKernel_attention_write: return check.attention_write();
    case kKernel_attention: return check.attention();
    case kKernel_rms_norm: return check.rms_norm();
    case kKernel_layer_norm: return check.layer_norm();
    case kKernel_softmax: return check.softmax();
    case kKernel_binary: return check.binary();
    case kKernel_unary: return check.map(2, 1, 2);
    case kKernel_activation: return check.map(2, 1, 0);
    case kKernel_glu: return check.map(3, 1, 0);
    case kKernel_select: return check.map(4, 0, 0);
    case kKernel_check_finite: return check.map(1, 0, 0);
    case kKernel_rope: return check.rope();
    case kKernel_slice: return check.slice();
    case kKernel_concat: return check.concat();
    case kKernel_transpose: return check.transpose();
    case kKernel_broadcast: return check.broadcast();
    case kKernel_copy: return check.map(2, 0, 0);
    case kKernel_scatter_add: return check.scatter_add();
    case kKernel_sum:
    case kKernel_peak: return check.reduce();
    case kKernel_argmax: return check.argmax();
    case kKernel_pool: return check.pool();
    case kKernel_cross_entropy: return check.cross_entropy();
    case kKernel_route_ids: return check.route_ids();
    case kKernel_route_weights: return check.route_weights();
    case kKernel_combine: return check.combine();
    case kKernel_map: return check.map();
    case kKernel_cross_entropy_errors: return check.cross_entropy_errors();
    case kKernel_linear_cross_entropy: return check.linear_cross_entropy();
    case kKernel_linear_cross_entropy_table: return check.linear_cross_entropy_table();
    case kKernel_dot_parts: return check.dot_parts();
    case kKernel_rms_norm_gradient: return check.norm_gradient(true);
    case kKernel_layer_norm_gradient: return check.norm_gradient(false);
    case kKernel_attention_gradient: return check.attention_gradient();
    case kKernel_to_float: return check.map(2, 0, 0);
    case kKernel_store_half: return check.half(true);
    case kKernel_load_half: return check.half(false);
    case kKernel_low_rank_down: return check.low_rank_down();
    case kKernel_low_rank_up: return check.low_rank_up();
    case kKernel_write_slot: return check.write_slot();
    case kKernel_one_hot: return check.one_hot();
    case kKernel_row_sequences: return check.counts(2, 0, 0) && check.all_numbers(0, 2);
    case kKernel_noise: return check.noise();
    case kKernel_block_quantize: return check.block_codes(check[0], check[1]);
    case kKernel_block_dequantize: return check.block_codes(check[1], check[0]);
    default: return false;
  }
}

bool fits_kernel(const Step& step) { return follows_rule(step) && results_apart(step); }

}  // namespace frugal
