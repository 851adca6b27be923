// Who may call: API keys, kept as salted SHA-256 only. A key file has one line for each key,
// `name:salt:hash` in hexadecimal, as hash_api_key() makes it; '#' begins a comment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::serve {

struct ApiKey {
  std::string name;  // of the tenant
  std::string salt;
  std::string hash;  // SHA-256 of salt and key, as bytes
};

struct Tenant {
  std::string name = "default";
  // Separates the prefix caches of tenants.
  uint64_t cache_salt = 0;
};

// With a fresh salt.
ApiKey hash_api_key(const std::string& name, std::string_view key);
// The line of a key file.
std::string to_line(const ApiKey& key);
// Throws Error{kInvalidArgument} naming the line.
std::vector<ApiKey> parse_key_file(std::string_view text, const std::string& where);
// A new random key: "hearth-" and 43 characters.
std::string make_api_key();

// What a key begins with: enough to find it among many, far too little to guess it.
std::string_view key_prefix(std::string_view key);
// Takes the same time whether it is or not.
bool is_key(const ApiKey& stored, std::string_view key);
// Separates the cached prompts of the owner of that id from those of others.
uint64_t cache_salt_of(const std::string& id);

// The tenant whose key this is; takes the same time whichever it is.
std::optional<Tenant> find_tenant(const std::vector<ApiKey>& keys, std::string_view key);

}  // namespace hearth::serve
