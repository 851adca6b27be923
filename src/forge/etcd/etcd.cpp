#include "forge/etcd/etcd.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "io/json.h"

namespace hearth::forge {

using io::Json;

namespace {

constexpr int64_t kRowsAtOnce = 4'096;
constexpr const char* kAuthenticate = "auth/authenticate";

// gRPC's numbers for what a member says when its cluster is not whole at the moment.
constexpr int kDeadlineExceeded = 4, kNotFoundStatus = 5, kExhausted = 8, kOutOfRange = 11,
              kNotAvailable = 14, kUnauthenticated = 16;

// A user's token is forgotten after some minutes, and when its members were started again; one
// that was given before users or roles changed is too old.
bool wants_new_token(const std::string& text) {
  return text.find("invalid auth token") != std::string::npos ||
         text.find("revision in header is old") != std::string::npos;
}

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string from_base64(const std::string& text) {
  std::string out(text.size() / 4 * 3 + 1, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) throw_error(ErrorCode::kDataLoss, "etcd", "an answer that is not base64");
  // Padding is decoded as zeros.
  const size_t padding = text.size() - std::min(text.size(), text.find('='));
  out.resize(static_cast<size_t>(size) - padding);
  return out;
}

// The gateway writes 64-bit integers as strings, and leaves out zeros.
int64_t integer(const Json& object, const char* key) {
  const auto text = io::json_get(object, key, std::string("0"), "etcd");
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int64_t revision_of(const Json& answer) {
  return answer.contains("header") ? integer(answer["header"], "revision") : 0;
}

// The first key after all that begin so.
std::string end_of(std::string prefix) {
  ++prefix.back();
  return prefix;
}

Json condition(const EtcdGuard& guard, const std::string& key) {
  Json out = {{"key", base64(key)}, {"result", "EQUAL"}};
  if (guard.value) {
    out["target"] = "VALUE";
    out["value"] = base64(*guard.value);
  } else {
    out["target"] = "CREATE";
    out["create_revision"] = std::to_string(guard.created);
  }
  return out;
}

std::string words_of_refusal(const Json& answer, const std::string& body, const std::string& user) {
  const std::string text = answer.is_object() ? answer.value("message", body) : body;
  if (text.find("database space exceeded") != std::string::npos)
    return text +
           " (compact and defragment it, then `etcdctl alarm disarm`; or a larger "
           "--quota-backend-bytes)";
  const bool denied = text.find("permission denied") != std::string::npos;
  if (text.find("user name is empty") != std::string::npos || (denied && user.empty()))
    return text + " (it wants a user: --etcd-user and --etcd-password-file)";
  if (denied)
    return text +
           " (this user's role needs readwrite on the keys below --etcd-prefix: `etcdctl role "
           "grant-permission ROLE readwrite PREFIX/ --prefix`)";
  if (text.find("authentication failed") != std::string::npos)
    return text + " (correct --etcd-user or what is in --etcd-password-file)";
  return text;
}

}  // namespace

Etcd::Etcd(EtcdOptions options) : Etcd(options, transport::make_https_client(options.tls)) {}

Etcd::Etcd(EtcdOptions options, std::unique_ptr<transport::HttpClient> http)
    : options_(std::move(options)), http_(std::move(http)) {}

std::string Etcd::full(const std::string& key) const { return options_.prefix + "/" + key; }

// Nothing: this member cannot say.
std::optional<Json> Etcd::ask_member(const std::string& path, const std::string& body) {
  const std::string& url = options_.urls[member_];
  transport::HttpResponse answer;
  transport::Headers headers{{"Content-Type", "application/json"}};
  if (!token_.empty()) headers.add("Authorization", token_);
  try {
    answer = http_->send({.method = "POST",
                          .url = url + "/v3/" + path,
                          .headers = headers,
                          .body = body,
                          .connect_timeout_ms = options_.patience_ms,
                          .silence_timeout_ms = patience_for(path)});
  } catch (const Error& error) {
    if (error.code != ErrorCode::kIo) throw;
    trouble_ = error.text;
    return std::nullopt;
  }
  Json json = Json::parse(answer.body, nullptr, false);
  if (answer.status == 200 && json.is_object()) return json;
  const int code = json.is_object() ? json.value("code", 0) : 0;
  const std::string text = words_of_refusal(json, answer.body, options_.user);
  if (code == kNotAvailable || code == kDeadlineExceeded || answer.status >= 502) {
    trouble_ = fmt::format("{}: {}", url, text);
    return std::nullopt;
  }
  const ErrorCode kind = code == kExhausted                               ? ErrorCode::kTooLarge
                         : code == kNotFoundStatus || code == kOutOfRange ? ErrorCode::kNotFound
                         : code == kUnauthenticated || wants_new_token(text)
                             ? ErrorCode::kUnauthorized
                         : answer.status == 404 ? ErrorCode::kUnsupported
                                                : ErrorCode::kInternal;
  throw_error(
      kind, url, "etcd answers {} with {}: {}", path, answer.status,
      kind == ErrorCode::kUnsupported ? "no JSON gateway there; it takes etcd 3.4 or later" : text);
}

// A password is made to take long to check, by its hash.
int64_t Etcd::patience_for(const std::string& path) const {
  return path == kAuthenticate ? 4 * options_.patience_ms : options_.patience_ms;
}

Json Etcd::ask(const std::string& path, const Json& body) {
  const std::string text = io::dump_json(body);
  if (options_.user.empty()) return ask_members(path, text);
  if (token_.empty()) authenticate();
  try {
    return ask_members(path, text);
  } catch (const Error& error) {
    if (error.code != ErrorCode::kUnauthorized) throw;
  }
  authenticate();
  return ask_members(path, text);
}

void Etcd::authenticate() {
  token_.clear();
  const Json answer = ask_members(
      kAuthenticate, io::dump_json({{"name", options_.user}, {"password", options_.password}}));
  token_ = io::json_get(answer, "token", std::string(), "etcd");
}

Json Etcd::ask_members(const std::string& path, const std::string& text) {
  for (size_t tried = 0; tried < options_.urls.size(); ++tried) {
    if (auto answer = ask_member(path, text)) return std::move(*answer);
    member_ = (member_ + 1) % options_.urls.size();
  }
  throw_error(ErrorCode::kUnavailable, fmt::format("{}", fmt::join(options_.urls, ",")),
              "no etcd answers ({}); start it, or correct --etcd", trouble_);
}

EtcdRow Etcd::row_of(const Json& pair) const {
  EtcdRow row;
  row.key = from_base64(pair.at("key").get<std::string>()).substr(options_.prefix.size() + 1);
  row.value = from_base64(pair.value("value", std::string()));
  row.created = integer(pair, "create_revision");
  row.lease = integer(pair, "lease");
  return row;
}

std::optional<EtcdRow> Etcd::get(const std::string& key) {
  const Json answer = ask("kv/range", {{"key", base64(full(key))}});
  if (!answer.contains("kvs")) return std::nullopt;
  return row_of(answer["kvs"].at(0));
}

std::vector<EtcdRow> Etcd::list(const std::string& prefix) {
  std::vector<EtcdRow> rows;
  std::string from = full(prefix);
  const std::string end = base64(end_of(from));
  for (int64_t at_once = kRowsAtOnce;;) {
    Json answer;
    try {
      answer = ask("kv/range", {{"key", base64(from)}, {"range_end", end}, {"limit", at_once}});
    } catch (const Error& error) {
      // The gateway of older members carries four megabytes at a time.
      if (error.code != ErrorCode::kTooLarge || at_once == 1) throw;
      at_once /= 2;
      continue;
    }
    if (!answer.contains("kvs")) return rows;
    for (const Json& pair : answer["kvs"]) rows.push_back(row_of(pair));
    if (!answer.value("more", false)) return rows;
    from = full(rows.back().key) + '\0';
  }
}

EtcdOutcome Etcd::transact(const EtcdWrite& write) {
  Json compare = Json::array(), success = Json::array();
  for (const EtcdGuard& guard : write.guards) compare.push_back(condition(guard, full(guard.key)));
  for (const std::string& prefix : write.removed) {
    const std::string from = full(prefix);
    success.push_back(
        {{"request_delete_range", {{"key", base64(from)}, {"range_end", base64(end_of(from))}}}});
  }
  for (const EtcdRow& row : write.puts) {
    Json put = {{"key", base64(full(row.key))}, {"value", base64(row.value)}};
    if (write.lease != 0) put["lease"] = std::to_string(write.lease);
    success.push_back({{"request_put", std::move(put)}});
  }
  // A member answers a transaction without any request from what it has, which may be old.
  if (success.empty())
    success.push_back({{"request_range", {{"key", base64(full(write.guards.at(0).key))}}}});
  const Json answer = ask("kv/txn", {{"compare", compare}, {"success", success}});
  return {answer.value("succeeded", false), revision_of(answer)};
}

int64_t Etcd::grant(int64_t seconds) {
  return integer(ask("lease/grant", {{"TTL", std::to_string(seconds)}}), "ID");
}

std::optional<int64_t> Etcd::keep_alive(int64_t lease) {
  const Json answer = ask("lease/keepalive", {{"ID", std::to_string(lease)}});
  const Json& result = answer.contains("result") ? answer["result"] : answer;
  if (answer.contains("error")) {
    throw_error(ErrorCode::kUnavailable, "etcd", "a lease is not kept: {}",
                words_of_refusal(answer["error"], io::dump_json(answer), options_.user));
  }
  if (integer(result, "TTL") <= 0) return std::nullopt;
  return revision_of(result);
}

void Etcd::revoke(int64_t lease) {
  try {
    ask("lease/revoke", {{"ID", std::to_string(lease)}});
  } catch (const Error& error) {
    if (error.code != ErrorCode::kNotFound) throw;  // it was over
  }
}

void Etcd::compact(int64_t revision) {
  try {
    ask("kv/compaction", {{"revision", std::to_string(revision)}});
  } catch (const Error& error) {
    if (error.code != ErrorCode::kNotFound) throw;  // somebody else did
  }
}

}  // namespace hearth::forge
