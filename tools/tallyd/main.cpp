// tallyd: one node of a mesh. Reads its config, opens its stores, starts the supervisor, and
// then only waits for signals: TERM and INT drain and stop, HUP reads the log level, tokens and
// certificates again, and whose keys may look in.
#include "actors/introspector/log_tap.hpp"
#include "actors/node/supervisor.hpp"
#include "actors/node/wiring.hpp"

#include <CLI/CLI.hpp>
#include <caf/all.hpp>
#include <caf/io/middleman.hpp>
#include <csignal>
#include <iostream>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace tallymesh {

namespace {

constexpr int exit_usage = 64, exit_software = 70, exit_config = 78;
/// Between two signs of a start that takes long; many more than the seconds there should be.
constexpr unsigned long long start_patience_us = 120'000'000;
constexpr auto drain_deadline =
    std::chrono::milliseconds(4500); // with the rest, below the promised 5 s

struct arguments {
  std::string config;
  bool check_only = false;
  std::string log_level, log_format, data, link_listen, gateway_listen, durability;
};

int config_error(const error& what) {
  std::cerr << "tallyd: " << what.context << '\n';
  return exit_config;
}

spdlog::level::level_enum level_of(configs::log_level x) {
  switch (x) {
  case configs::log_level::trace:
    return spdlog::level::trace;
  case configs::log_level::debug:
    return spdlog::level::debug;
  case configs::log_level::info:
    return spdlog::level::info;
  case configs::log_level::warning:
    return spdlog::level::warn;
  case configs::log_level::error:
    return spdlog::level::err;
  case configs::log_level::critical:
    return spdlog::level::critical;
  }
  return spdlog::level::info;
}

/// Escapes the message, which spdlog's pattern cannot do.
class json_message : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (const unsigned char c :
         std::string_view(message.payload.data(), message.payload.size())) {
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(static_cast<char>(c));
      } else if (c < 0x20) {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
      } else {
        out.push_back(static_cast<char>(c));
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<json_message>();
  }
};

void start_logging(const configs::node_config& config) {
  spdlog::sink_ptr sink;
  if (config.log.file.empty())
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  else
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.log.file.string());
  const auto tap = std::make_shared<introspector::log_tap>(std::move(sink));
  introspector::install_log_tap(tap);
  auto logger = std::make_shared<spdlog::logger>(config.node, tap);
  if (config.log.format == configs::log_format::json) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<json_message>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","node":"%n","level":"%l","thread":%t,"message":"%*"})");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ [%n] %v");
  }
  tap->set_general(level_of(config.log.level));
  logger->set_level(level_of(config.log.level));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  spdlog::flush_every(std::chrono::seconds(1));
}

result<configs::node_config> read_config(const arguments& given) {
  auto config = configs::load_node(given.config);
  if (!config) return config;
  if (const auto fit = contracts::check_vm(config->mesh.vm.version, config->mesh.vm.prices);
      !fit)
    return make_error(fit.error().code,
                      config->genesis_file.string() + ": " + fit.error().context);
  using setter = result<void> (*)(configs::node_config&, std::string_view);
  const std::pair<const std::string&, setter> overrides[] = {
      {given.log_level, configs::set_log_level},
      {given.log_format, configs::set_log_format},
      {given.data, configs::set_data_directory},
      {given.link_listen, configs::set_link_listen},
      {given.gateway_listen, configs::set_gateway_listen},
      {given.durability, configs::set_ledger_durability}};
  for (const auto& [text, set] : overrides)
    if (!text.empty())
      if (const auto done = set(*config, text); !done) return done.error();
  return config;
}

/// Everything that can be wrong with files, without opening a store or a port.
int check(const configs::node_config& config) {
  const auto keys = configs::load_keys(config);
  if (!keys) return config_error(keys.error());
  for (const auto& each : config.mesh.contracts)
    if (const auto parsed = contracts::parse(each.source, each.file.string()); !parsed)
      return config_error(parsed.error());
  const auto tokens =
      configs::token_list::load(config.gateway.tokens_file, config.mesh, config.self);
  if (!tokens) return config_error(tokens.error());
  std::cout << config.file.string() << ": good; node " << config.node << " of mesh "
            << config.mesh.mesh << ", " << config.mesh.nodes.size() << " nodes, chain "
            << config.mesh.chain.short_hex() << '\n';
  return 0;
}

void reload(const arguments& given, const caf::actor& node) {
  const auto config = read_config(given);
  if (!config)
    return spdlog::error("reload refused, nothing changed: {}", config.error().context);
  introspector::set_log_level(level_of(config->log.level));
  caf::anon_send(node, node::reload_atom::value, // operators, tokens and certificates
                 std::make_shared<const configs::node_config>(*config));
  spdlog::info("reloaded: log level, operators, tokens and certificates");
}

/// What systemd is told once the node runs; its status takes the place of the start's.
std::string ready(const node::context& x) {
  return "READY=1\nSTATUS=clients at " + x.config.gateway.listen.to_text()
         + ", started at height " + std::to_string(x.board.look().height);
}

/// Waits for signals; keeps systemd's watchdog fed meanwhile. Returns when the node must stop.
void wait_for_signals(const sigset_t& signals, const arguments& given, const caf::actor& node) {
  std::uint64_t watchdog_us = 0;
  const bool watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
  const auto beat_us = watched ? watchdog_us / 2 : 3'600'000'000u;
  const timespec beat{static_cast<time_t>(beat_us / 1'000'000),
                      static_cast<long>(beat_us % 1'000'000 * 1000)};
  for (;;) {
    const int got = sigtimedwait(&signals, nullptr, &beat);
    if (got == SIGTERM || got == SIGINT) return;
    if (got == SIGHUP) reload(given, node);
    if (got < 0 && watched) sd_notify(0, "WATCHDOG=1");
  }
}

/// The actor system's thread count is small on purpose: what works hard here is detached.
class system_config : public caf::actor_system_config {
public:
  system_config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{2});
    // One peer must not hold the middleman's thread for megabytes at a time.
    set("middleman.max-consecutive-reads", std::size_t{4});
  }
};

int run(configs::node_config config, const arguments& given) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int each : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&signals, each);
  pthread_sigmask(SIG_BLOCK, &signals,
                  nullptr); // inherited by every thread: only this one takes them
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ,
              SIG_IGN); // a file that may not grow is a full disk: an error with a line

  std::error_code failed;
  std::filesystem::create_directories(config.data_directory, failed);
  if (failed)
    return config_error(make_error(errc::storage, "cannot create "
                                                      + config.data_directory.string() + ": "
                                                      + failed.message()));
  start_logging(config);
  const auto name = config.node;
  // systemd would end a start that takes longer than it was told, and the next would begin
  // anew.
  auto context = node::open_context(std::move(config), [](const std::string& line) {
    sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu\nSTATUS=%s", start_patience_us, line.c_str());
  });
  if (!context) {
    spdlog::critical("{}", context.error().context);
    return context.error().code == errc::bad_config ? exit_config : exit_software;
  }
  spdlog::info("node {} of mesh {} starts: version {}, chain {}, height {}", name,
               (*context)->genesis().mesh, TALLYMESH_VERSION,
               (*context)->genesis().chain.short_hex(), (*context)->board.look().height);
  system_config caf_config;
  caf::actor_system system(caf_config);
  caf::scoped_actor self(system);
  auto node = node::spawn_node(system, *context);
  sd_notify(0, ready(**context).c_str());
  wait_for_signals(signals, given, node);
  sd_notify(0, "STOPPING=1");
  spdlog::info("stopping: clients that wait are answered first");
  self->monitor(node);
  self->send_exit(node, caf::exit_reason::user_shutdown);
  bool stopped = false;
  self->receive([&](const caf::down_msg&) { stopped = true; },
                caf::after(drain_deadline) >> [] {});
  spdlog::info(stopped ? "stopped"
                       : "stopped before everything had ended; nothing stored is lost");
  spdlog::default_logger()->flush();
  if (!stopped) ::_exit(0); // a thread hangs; everything that was acknowledged is on the disk
  node = nullptr;
  return 0;
}

} // namespace

} // namespace tallymesh

int main(int argc, char** argv) {
  using namespace tallymesh;
  arguments given;
  CLI::App app{"tallyd runs one node of a Tallymesh mesh.\n"
               "Example: tallyd --config mesh/hq/node.toml"};
  app.add_option("--config", given.config, "The node's config file")->required();
  app.add_flag("--check-config", given.check_only,
               "Check the config, genesis, keys and contracts, and end");
  app.add_option("--log-level", given.log_level,
                 "trace, debug, info, warning, error or critical");
  app.add_option("--log-format", given.log_format, "text or json");
  app.add_option("--data", given.data, "The data directory");
  app.add_option("--link-listen", given.link_listen, "host:port where peers connect");
  app.add_option("--gateway-listen", given.gateway_listen, "host:port of the REST interface");
  app.add_option("--ledger-durability", given.durability, "synced or lazy");
  app.set_version_flag("--version", std::string("tallyd ") + TALLYMESH_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? 0 : exit_usage;
  }
  initialise_crypto();
  auto config = read_config(given);
  if (!config) return config_error(config.error());
  return given.check_only ? check(*config) : run(std::move(*config), given);
}
