#include "tools/load/hpack.h"

#include <cstdlib>

namespace weir {
namespace {

constexpr size_t static_entries = 61;
constexpr size_t entry_overhead = 32;
constexpr uint8_t method_post = 0x80 | 3;
constexpr uint8_t scheme_http = 0x80 | 6;

void put_int(uint32_t value, unsigned prefix_bits, uint8_t pattern, std::string& out) {
  uint32_t limit = (1u << prefix_bits) - 1;
  if (value < limit) {
    out.push_back(static_cast<char>(pattern | value));
    return;
  }
  out.push_back(static_cast<char>(pattern | limit));
  for (value -= limit; value >= 128; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_string(std::string_view text, std::string& out) {
  put_int(static_cast<uint32_t>(text.size()), 7, 0, out);
  out.append(text);
}

struct cursor {
  const uint8_t* at;
  const uint8_t* end;

  bool take_int(unsigned prefix_bits, uint64_t& out) {
    if (at == end) return false;
    uint64_t limit = (1u << prefix_bits) - 1;
    out = *at++ & limit;
    if (out < limit) return true;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      if (at == end) return false;
      uint8_t next = *at++;
      out += static_cast<uint64_t>(next & 0x7f) << shift;
      if ((next & 0x80) == 0) return true;
    }
    return false;
  }

  // Huffman-coded text stays coded: it then equals no name we look for.
  bool take_string(std::string& out) {
    uint64_t size = 0;
    if (!take_int(7, size) || size > static_cast<uint64_t>(end - at)) return false;
    out.assign(reinterpret_cast<const char*>(at), static_cast<size_t>(size));
    at += size;
    return true;
  }
};

}  // namespace

void hpack_encoder::encode_request(std::string_view path, std::string_view authority, std::string& out) {
  out.push_back(static_cast<char>(method_post));
  out.push_back(static_cast<char>(scheme_http));
  header(":path", path, out);
  header(":authority", authority, out);
  header("te", "trailers", out);
  header("content-type", "application/grpc", out);
  header("user-agent", "weir-bench", out);
}

void hpack_encoder::header(std::string_view name, std::string_view value, std::string& out) {
  std::string key(name);
  key.push_back('\0');
  key.append(value);
  auto [at, fresh] = entries_.emplace(std::move(key), inserted_);
  if (fresh) {
    ++inserted_;
    out.push_back(0x40);  // literal, enters the table
    put_string(name, out);
    put_string(value, out);
  } else {
    put_int(static_cast<uint32_t>(static_entries) + inserted_ - at->second, 7, 0x80, out);
  }
}

bool hpack_decoder::decode(byte_span block, response_headers& out) {
  cursor in{block.data(), block.data() + block.size()};
  while (in.at != in.end) {
    uint8_t first = *in.at;
    uint64_t index = 0;
    if ((first & 0xe0) == 0x20) {
      if (!in.take_int(5, index)) return false;
      table_bytes_max_ = static_cast<size_t>(index);
      evict();
      continue;
    }
    const entry* found = nullptr;
    bool enters = false;
    if ((first & 0x80) != 0) {
      found = in.take_int(7, index) ? lookup(index) : nullptr;
      if (found == nullptr) return false;
    } else {
      enters = (first & 0x40) != 0;
      if (!in.take_int(enters ? 6 : 4, index)) return false;
      if (index == 0) {
        if (!in.take_string(literal_.name)) return false;
      } else {
        found = lookup(index);
        if (found == nullptr) return false;
        literal_.name = found->name;
      }
      if (!in.take_string(literal_.value)) return false;
      found = &literal_;
    }
    if (found->name == "grpc-status") out.grpc_status = std::atoi(found->value.c_str());
    if (found->name == "grpc-message") out.grpc_message = found->value;
    if (enters) insert(literal_);
  }
  return true;
}

// Nothing we look for is in the static table; its entries are nameless here. Null: no such entry.
const hpack_decoder::entry* hpack_decoder::lookup(uint64_t index) const {
  static const entry nameless;
  if (index == 0 || index - 1 >= static_entries + table_.size()) return nullptr;
  if (index <= static_entries) return &nameless;
  return &table_[static_cast<size_t>(index) - static_entries - 1];
}

void hpack_decoder::insert(entry fresh) {
  table_bytes_ += fresh.name.size() + fresh.value.size() + entry_overhead;
  table_.push_front(std::move(fresh));
  evict();
}

void hpack_decoder::evict() {
  while (table_bytes_ > table_bytes_max_ && !table_.empty()) {
    table_bytes_ -= table_.back().name.size() + table_.back().value.size() + entry_overhead;
    table_.pop_back();
  }
}

}  // namespace weir
