#include "serve/api_keys.h"

#include <cstring>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/error.h"
#include "serve/text_lists.h"

namespace hearth::serve {

namespace {

constexpr size_t kSaltBytes = 16;
constexpr size_t kHashBytes = 32;
constexpr size_t kKeyBytes = 32;
constexpr size_t kPrefixBytes = 14;  // "hearth-" and seven characters

std::string random_bytes(size_t count) {
  std::string out(count, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1,
        "the operating system gives no random bytes");
  return out;
}

std::string sha256(const std::string& bytes) {
  std::string out(kHashBytes, '\0');
  unsigned length = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()),
                   &length, EVP_sha256(), nullptr) == 1,
        "SHA-256 failed");
  return out;
}

// Exactly so many bytes, or none.
std::string bytes_of_hex(std::string_view text, size_t bytes) {
  return text.size() == 2 * bytes ? from_hex(text) : std::string();
}

ApiKey parse_line(std::string_view line, const std::string& where, int number) {
  const size_t first = line.find(':');
  const size_t second = line.find(':', first + 1);
  if (first != std::string_view::npos && second != std::string_view::npos && first > 0) {
    std::string salt = bytes_of_hex(line.substr(first + 1, second - first - 1), kSaltBytes);
    std::string hash = bytes_of_hex(line.substr(second + 1), kHashBytes);
    if (salt.size() == kSaltBytes && hash.size() == kHashBytes)
      return {std::string(line.substr(0, first)), std::move(salt), std::move(hash)};
  }
  throw_error(ErrorCode::kInvalidArgument, where,
              "line {}: expected name:salt:hash with {} and {} hexadecimal digits", number,
              2 * kSaltBytes, 2 * kHashBytes);
}

}  // namespace

ApiKey hash_api_key(const std::string& name, std::string_view key) {
  ApiKey out{name, random_bytes(kSaltBytes), {}};
  out.hash = sha256(out.salt + std::string(key));
  return out;
}

std::string to_line(const ApiKey& key) {
  return fmt::format("{}:{}:{}\n", key.name, to_hex(key.salt), to_hex(key.hash));
}

std::vector<ApiKey> parse_key_file(std::string_view text, const std::string& where) {
  std::vector<ApiKey> keys;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) {
      line.remove_suffix(1);
    }
    if (!line.empty()) keys.push_back(parse_line(line, where, number));
  }
  return keys;
}

std::string make_api_key() {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out = "hearth-";
  for (const char c : random_bytes(kKeyBytes + 11)) {
    out += kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  }
  return out;
}

std::string_view key_prefix(std::string_view key) { return key.substr(0, kPrefixBytes); }

bool is_key(const ApiKey& stored, std::string_view key) {
  const std::string hash = sha256(stored.salt + std::string(key));
  return stored.hash.size() == kHashBytes &&
         CRYPTO_memcmp(hash.data(), stored.hash.data(), kHashBytes) == 0;
}

uint64_t cache_salt_of(const std::string& id) {
  uint64_t salt = 0;
  std::memcpy(&salt, sha256("cache salt of " + id).data(), sizeof salt);
  return salt;
}

std::optional<Tenant> find_tenant(const std::vector<ApiKey>& keys, std::string_view key) {
  std::optional<Tenant> found;
  for (const ApiKey& candidate : keys) {
    if (is_key(candidate, key)) {
      found = Tenant{candidate.name, cache_salt_of(candidate.name + candidate.salt)};
    }
  }
  return found;
}

}  // namespace hearth::serve
