// halpool: average pooling on the command line. Exit status: 0; or 2 when the arguments, a file or this machine
// stand in the way; or 1 for a fault in halpool itself.
#include "commands.hpp"

#include <halpool/halpool.hpp>

#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>

namespace {

constexpr int refused = 2, broken = 1;

int report(const std::string &message, int exit_code) {
    std::cerr << "halpool: error: " << message << "\n";
    return exit_code;
}

}  // namespace

int main(int argc, char **argv) {
    try {
        CLI::App program("Average pooling, with the semantics of torch.nn.functional.avg_pool2d", "halpool");
        program.set_version_flag("--version", std::string("halpool ") + halpool_version());
        program.require_subcommand(1);
        halpool::cli::add_avg_pool2d_command(program);
        halpool::cli::add_avg_pool2d_backward_command(program);
        halpool::cli::add_explain_command(program);
        halpool::cli::add_info_command(program);
        try {
            program.parse(argc, argv);
        } catch (const CLI::Success &help_or_version) {
            return program.exit(help_or_version);
        } catch (const CLI::Error &error) {
            return report(error.what() + std::string(" ('halpool --help' and 'halpool COMMAND --help' say more)"),
                          refused);
        }
        return 0;
    } catch (const halpool::Error &error) {
        return report(error.what(), error.status() == HALPOOL_ERROR_INTERNAL ? broken : refused);
    } catch (const std::bad_alloc &) {
        return report("out of memory", refused);
    } catch (const std::length_error &) {  // a container's way to say the same
        return report("out of memory", refused);
    } catch (const std::exception &error) {
        return report(error.what(), refused);
    }
}
