// Prints what llama.cpp answers for given ids: one row of 32-bit floats a position on standard output (logits, or hidden states with --embed).
// The key-value cache is 32-bit and flash attention is off, so that only the arithmetic order differs from other implementations.
#include "llama.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

int main(int argc, char ** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "use: llama_logits MODEL logits|hidden ID...\n");
        return 2;
    }
    const bool hidden = std::strcmp(argv[2], "hidden") == 0;
    std::vector<llama_token> ids;
    for (int i = 3; i < argc; ++i) ids.push_back(std::atoi(argv[i]));
    const int count = static_cast<int>(ids.size());

    llama_log_set([](ggml_log_level level, const char * text, void *) { if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr); }, nullptr);
    llama_backend_init();
    llama_model_params model_params = llama_model_default_params();
    model_params.n_gpu_layers = 0;
    llama_model * model = llama_model_load_from_file(argv[1], model_params);
    if (model == nullptr) return 1;

    llama_context_params params = llama_context_default_params();
    params.n_ctx = 256;
    params.n_batch = params.n_ubatch = 256;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.swa_full = false;
    if (hidden) {
        params.embeddings = true;
        params.pooling_type = LLAMA_POOLING_TYPE_NONE;
    }
    llama_context * context = llama_init_from_model(model, params);
    if (context == nullptr) return 1;

    llama_batch batch = llama_batch_init(count, 0, 1);
    for (int i = 0; i < count; ++i) {
        batch.token[i] = ids[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = count;
    if ((hidden && !llama_model_has_decoder(model) ? llama_encode(context, batch) : llama_decode(context, batch)) != 0) return 1;
    const size_t width = hidden ? llama_model_n_embd(model) : llama_vocab_n_tokens(llama_model_get_vocab(model));
    for (int i = 0; i < count; ++i) {
        const float * values = hidden ? llama_get_embeddings_ith(context, i) : llama_get_logits_ith(context, i);
        if (values == nullptr || std::fwrite(values, sizeof(float), width, stdout) != width) return 1;
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
