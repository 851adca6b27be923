// The subcommands of `hearth`: each adds itself to the command line and runs from its callback. One
// file a command.
#pragma once

namespace CLI {
class App;
}

namespace hearth::apps {

void add_serve_command(CLI::App& app);
void add_calibrate_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_bench_command(CLI::App& app);
// Below `hearth bench`.
void add_bench_kernels(CLI::App& bench);
void add_deployments_command(CLI::App& app);
void add_top_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_quantize_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_plan_command(CLI::App& app);
// Below `hearth plan`.
void add_plan_ptu(CLI::App& plan);
void add_forge_command(CLI::App& app);
void add_sim_command(CLI::App& app);
// Below `hearth sim`.
void add_sim_flywheel(CLI::App& sim);
void add_sim_forge(CLI::App& sim);
void add_tokenizer_command(CLI::App& app);
void add_tenants_command(CLI::App& app);
void add_keys_command(CLI::App& app);
void add_usage_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_tune_command(CLI::App& app);
void add_merge_command(CLI::App& app);
void add_version_command(CLI::App& app);

}  // namespace hearth::apps
