// /v1/files: OpenAI's contract for files.
#include <algorithm>
#include <charconv>
#include <fmt/ranges.h>

#include "io/json.h"
#include "serve/app.h"
#include "serve/files/file_stream.h"
#include "serve/files/form.h"
#include "serve/list_json.h"
#include "serve/query.h"
#include "serve/services.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr int64_t kListMax = 10'000;
const std::vector<std::string> kPurposes = {"assistants", "batch",     "fine-tune",
                                            "vision",     "user_data", "evals"};

Json file_json(const StoredFile& file) {
  return {{"id", file.id},
          {"object", "file"},
          {"bytes", file.bytes},
          {"created_at", file.created_s},
          {"expires_at", time_or_null(file.expires_s)},
          {"filename", file.filename},
          {"purpose", file.purpose},
          {"status", "processed"},
          {"status_details", nullptr},
          {"project_id", file.project}};
}

const std::string& require_purpose(const Form& form) {
  const std::string& purpose = form.require("purpose");
  if (std::find(kPurposes.begin(), kPurposes.end(), purpose) == kPurposes.end()) {
    throw_error(ErrorCode::kInvalidArgument, "purpose", "'purpose': expected one of {}, got '{}'",
                fmt::join(kPurposes, ", "), purpose);
  }
  return purpose;
}

// Seconds that the file is kept; 0: for good.
int64_t read_expiry(const Form& form) {
  const auto seconds = form.fields.find("expires_after[seconds]");
  const auto anchor = form.fields.find("expires_after[anchor]");
  if (anchor != form.fields.end() && anchor->second != "created_at") {
    throw_error(ErrorCode::kInvalidArgument, "expires_after[anchor]",
                "'expires_after[anchor]': expected created_at, got '{}'", anchor->second);
  }
  if (seconds == form.fields.end()) return 0;
  const std::string& text = seconds->second;
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      value < kFileExpiryMinS || value > kFileExpiryMaxS) {
    throw_error(ErrorCode::kInvalidArgument, "expires_after[seconds]",
                "'expires_after[seconds]': expected {} to {}, got '{}'", kFileExpiryMinS,
                kFileExpiryMaxS, text);
  }
  return value;
}

StoredFile require_file(Call& call) {
  auto file = call.app.services.files.find(call.path["id"], call.tenant.name, call.now_s());
  if (!file) {
    throw_error(ErrorCode::kNotFound, "id", "No such File object: {}", call.path["id"]);
  }
  return std::move(*file);
}

}  // namespace

void create_file(Call& call) {
  Services& services = call.app.services;
  services.files.require_place();
  const ServiceLimits& limits = call.app.options.services;
  StoredFile file;
  file.id = call.app.ids.make("file-");
  Form form =
      read_form(*call.reply, {[&](const std::string& field) {
                                if (field != "file") {
                                  throw_error(ErrorCode::kInvalidArgument, field,
                                              "'{}' is not the name of the file: 'file' is", field);
                                }
                                return services.files.path_of(file.id);
                              },
                              limits.file_bytes_max});
  FormFile& uploaded = form.require_file("file");
  file.project = call.tenant.name;
  file.filename = uploaded.filename;
  file.purpose = require_purpose(form);
  file.bytes = static_cast<int64_t>(uploaded.file->size());
  file.created_s = call.now_s();
  if (const int64_t kept_s = read_expiry(form); kept_s > 0)
    file.expires_s = file.created_s + kept_s;
  if (services.files.bytes_of(file.project) + file.bytes > limits.project_file_bytes_max) {
    throw_error(ErrorCode::kTooLarge, "file",
                "project_file_bytes_max = {} bytes of this project would be exceeded; delete some",
                limits.project_file_bytes_max);
  }
  services.files.keep(file, *uploaded.file);
  call.reply->json(200, file_json(file));
}

void list_files(Call& call) {
  const Query query(call.reply->request().query);
  const auto listed =
      call.app.services.files.list(listed_project(call, query), query.text("purpose").value_or(""),
                                   query.page(kListMax, kListMax), call.now_s());
  call.reply->json(200, list_json(listed, file_json));
}

void get_file(Call& call) { call.reply->json(200, file_json(require_file(call))); }

void delete_file(Call& call) {
  const StoredFile file = require_file(call);
  call.app.services.files.erase(file.id, file.project);
  call.reply->json(200, {{"id", file.id}, {"object", "file"}, {"deleted", true}});
}

void get_file_content(Call& call) {
  const StoredFile file = require_file(call);
  answer_file(call.reply, call.app.executor, call.app.services.files.path_of(file.id),
              "application/octet-stream");
}

}  // namespace hearth::serve
