// The program's commands. Each registers itself and runs in CLI11's callback; failures are exceptions.
#ifndef HALPOOL_TOOLS_COMMANDS_HPP
#define HALPOOL_TOOLS_COMMANDS_HPP

#include <CLI/CLI.hpp>

namespace halpool::cli {

void add_avg_pool2d_command(CLI::App &program);
void add_avg_pool2d_backward_command(CLI::App &program);
void add_explain_command(CLI::App &program);
void add_info_command(CLI::App &program);

}  // namespace halpool::cli

#endif
