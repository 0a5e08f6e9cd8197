#include "broker/validation.h"

#include <cstdio>

#include "broker/validation_rules.h"
#include "storage/utf8.h"

namespace weir {
namespace {

result<void> check_metadata(const std::map<std::string, std::string>& metadata) {
  if (metadata.size() > metadata_entries_max) {
    return bad_config("metadata", number(metadata.size()) + " entries, at most " + number(metadata_entries_max) +
                                      " (metadata_entries_max)");
  }
  size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    if (!is_utf8(key) || !is_utf8(value)) return bad_config("metadata[" + quoted(key) + "]", "is not valid UTF-8");
    bytes += key.size() + value.size();
  }
  if (bytes <= metadata_bytes_max) return ok();
  return bad_config("metadata",
                    number(bytes) + " bytes, at most " + number(metadata_bytes_max) + " (metadata_bytes_max)");
}

result<void> check_filters(const std::vector<std::string>& filters) {
  if (filters.size() > subject_filters_max) {
    return bad_config("subjects_filter", number(filters.size()) + " filters, at most " + number(subject_filters_max) +
                                             " (subject_filters_max)");
  }
  for (size_t i = 0; i < filters.size(); ++i) {
    const std::string field = "subjects_filter[" + number(i) + "]";
    auto fine = check_filter(filters[i], field, errc::invalid_config);
    if (!fine) return fine;
  }
  return ok();
}

result<void> check_level(const stream_config& config) {
  if (!config.level) return ok();
  switch (*config.level) {
    case durability::memory:
      return ok();
    case durability::written:
    case durability::fsync:
      if (!config.ephemeral) return ok();
      return bad_config("durability", "an ephemeral stream lives in memory, its only level is memory");
    case durability::replicated:
    case durability::durable:
      return bad_config("durability",
                        "the levels replicated and durable need a cluster; this is a single node, which "
                        "offers memory, written and fsync");
  }
  return bad_config("durability", number(static_cast<uint64_t>(*config.level)) + " is not a level (1-5)");
}

void clear_if_zero(std::optional<uint64_t>& bound) {
  if (bound && *bound == 0) bound.reset();
}

void clear_zeros(retention_limits& limits) {
  clear_if_zero(limits.max_age_ms);
  clear_if_zero(limits.max_msgs);
  clear_if_zero(limits.max_bytes);
}

bool any_bound(const retention_limits& limits) {
  return limits.max_age_ms.value_or(0) != 0 || limits.max_msgs.value_or(0) != 0 || limits.max_bytes.value_or(0) != 0;
}

result<void> check_retention(const stream_config& config) {
  if (config.policy > retention_policy::interest) {
    return bad_config("retention", number(static_cast<uint64_t>(config.policy)) + " is not a retention policy");
  }
  if (config.policy != retention_policy::limits && any_bound(config.limits)) {
    return bad_config("retention", "max_age_ms, max_msgs and max_bytes belong to limits retention");
  }
  return check_duration(config.limits.max_age_ms.value_or(0), "retention.limits.max_age_ms");
}

result<void> check_discard(const stream_config& config) {
  if (!config.discard_new) {
    if (!config.discard_new_per_subject) return ok();
    return bad_config("discard_new_per_subject", "needs discard_new");
  }
  if (config.policy != retention_policy::limits) {
    return bad_config("discard_new", "belongs to limits retention; this stream has another retention policy");
  }
  if (config.discard_new_per_subject && config.max_msgs_per_subject == 0) {
    return bad_config("discard_new_per_subject", "needs max_msgs_per_subject");
  }
  const bool bounded = config.limits.max_msgs.value_or(0) != 0 || config.limits.max_bytes.value_or(0) != 0;
  if (bounded || config.max_msgs_per_subject != 0) return ok();
  return bad_config("discard_new",
                    "needs a bound that a message can exceed: max_msgs, max_bytes or max_msgs_per_subject");
}

void set_bound(std::optional<uint64_t>& bound, const std::optional<uint64_t>& given) {
  if (!given) return;
  bound = *given == 0 ? std::nullopt : given;
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr size_t shown_max = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, shown_max)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out.push_back(c);
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  out += text.size() > shown_max ? "...\"" : "\"";
  return out;
}

result<void> check_name(std::string_view name, std::string_view field) {
  if (name.empty()) return bad_config(field, "is empty; 1 to " + number(name_bytes_max) + " bytes are needed");
  if (name.size() > name_bytes_max) {
    return bad_config(field, number(name.size()) + " bytes, at most " + number(name_bytes_max) + " (name_bytes_max)");
  }
  if (!is_utf8(name)) return bad_config(field, quoted(name) + " is not valid UTF-8");
  if (has_control(name)) return bad_config(field, quoted(name) + " contains a control character");
  if (const size_t at = name.find_first_of(" /\\*>"); at != std::string_view::npos) {
    return bad_config(field, quoted(name) + " contains '" + std::string(1, name[at]) +
                                 "'; spaces and the characters / \\ * > are not allowed");
  }
  if (name == "." || name == "..") return bad_config(field, quoted(name) + " is not allowed as a name");
  return ok();
}

durability level_of(const stream_config& config) {
  if (config.level) return *config.level;
  return config.ephemeral ? durability::memory : durability::fsync;
}

result<stream_config> effective(stream_config config) {
  if (auto fine = check_name(config.name, "name"); !fine) return fine.err();
  if (config.has_sources) {
    return bad_config("sources", "cross-stream sources come with a later version of weir; leave the field empty");
  }
  if (auto fine = check_filters(config.subjects_filter); !fine) return fine.err();
  if (auto fine = check_retention(config); !fine) return fine.err();
  if (config.block_size > block_size_max) {
    return bad_config("block_size",
                      number(config.block_size) + " messages, at most " + number(block_size_max) + " (block_size_max)");
  }
  if (auto fine = check_level(config); !fine) return fine.err();
  if (auto fine = check_discard(config); !fine) return fine.err();
  if (auto fine = check_duration(config.dedup_window_ms, "dedup_window_ms"); !fine) return fine.err();
  if (auto fine = check_metadata(config.metadata); !fine) return fine.err();
  if (config.block_size == 0) config.block_size = default_block_size;
  if (config.dedup_window_ms == 0) config.dedup_window_ms = default_dedup_window_ms;
  clear_zeros(config.limits);
  config.level = level_of(config);
  return config;
}

result<stream_config> updated(const stream_config& before, const stream_update& update) {
  const bool bounds = update.max_age_ms || update.max_msgs || update.max_bytes || update.strict_limits;
  if (bounds && before.policy != retention_policy::limits) {
    return fail(errc::immutable_field,
                "max_age_ms, max_msgs, max_bytes and strict_limits belong to limits retention; this stream has another "
                "retention policy, which is fixed at creation");
  }
  if (auto fine = check_duration(update.max_age_ms.value_or(0), "max_age_ms"); !fine) return fine.err();
  stream_config after = before;
  set_bound(after.limits.max_age_ms, update.max_age_ms);
  set_bound(after.limits.max_msgs, update.max_msgs);
  set_bound(after.limits.max_bytes, update.max_bytes);
  if (update.max_msg_bytes) after.max_msg_bytes = *update.max_msg_bytes;
  if (update.strict_limits) after.limits.strict = *update.strict_limits;
  if (auto fine = check_discard(after); !fine) return fine.err();
  return after;
}

}  // namespace weir
