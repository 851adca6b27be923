#include "serve/files/form.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "serve/reply.h"
#include "transport/multipart.h"
#include "transport/spooled_body.h"

namespace hearth::serve {
namespace {

constexpr size_t kFieldBytesMax = size_t{64} << 10;
constexpr size_t kFilenameBytesMax = 255;
constexpr size_t kReadBytes = size_t{256} << 10;

std::string plain_filename(std::string name) {
  name.erase(0, name.find_last_of("/\\") + 1);
  std::erase_if(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (name.size() > kFilenameBytesMax) name.resize(kFilenameBytesMax);
  return name.empty() ? "upload" : name;
}

class FormSink final : public transport::MultipartSink {
 public:
  explicit FormSink(const FormRules& rules) : rules_(rules) {}

  void on_part(const transport::MultipartPart& part) override {
    name_ = part.name;
    file_ = nullptr;
    if (form.fields.contains(name_) || form.files.contains(name_)) {
      throw_error(ErrorCode::kInvalidArgument, name_, "'{}' is in the form twice", name_);
    }
    if (!part.filename) {
      form.fields[name_];
      return;
    }
    const std::string path = rules_.path_of(name_);
    FormFile& made = form.files[name_];
    made = {plain_filename(*part.filename), std::make_unique<io::AtomicFile>(path)};
    file_ = made.file.get();
  }

  void on_bytes(std::string_view bytes) override {
    if (file_ != nullptr) {
      if (file_->size() + bytes.size() > rules_.file_bytes_max) {
        throw_error(ErrorCode::kTooLarge, name_,
                    "'{}': the file is larger than file_bytes_max = "
                    "{} bytes",
                    name_, rules_.file_bytes_max);
      }
      return file_->append(std::as_bytes(std::span(bytes)));
    }
    std::string& field = form.fields[name_];
    if (field.size() + bytes.size() > kFieldBytesMax) {
      throw_error(ErrorCode::kTooLarge, name_, "'{}' is longer than {} bytes", name_,
                  kFieldBytesMax);
    }
    field += bytes;
  }

  void on_part_end() override {}

  Form form;

 private:
  const FormRules& rules_;
  std::string name_;
  io::AtomicFile* file_ = nullptr;
};

}  // namespace

const std::string& Form::require(const std::string& name) const {
  const auto found = fields.find(name);
  if (found == fields.end()) {
    throw_error(ErrorCode::kInvalidArgument, name, "'{}' is missing from the form", name);
  }
  return found->second;
}

FormFile& Form::require_file(const std::string& name) {
  const auto found = files.find(name);
  if (found == files.end()) {
    throw_error(ErrorCode::kInvalidArgument, name, "'{}' is missing from the form: expected a file",
                name);
  }
  return found->second;
}

Form read_form(Reply& reply, const FormRules& rules) {
  const std::string* type = reply.request().headers.find("content-type");
  const auto boundary = type ? transport::multipart_boundary(*type) : std::nullopt;
  if (!boundary) {
    throw_error(ErrorCode::kInvalidArgument, "",
                "expected a body of type multipart/form-data with a boundary, got {}",
                type ? *type : "no Content-Type");
  }
  FormSink sink(rules);
  transport::MultipartParser parser(*boundary, {}, sink);
  if (const auto& spooled = reply.request().spooled) {
    for (;;) {
      const std::string bytes = spooled->read(kReadBytes);
      if (bytes.empty()) break;
      parser.feed(bytes);
    }
  } else {
    parser.feed(reply.take_body());
  }
  parser.finish();
  return std::move(sink.form);
}

}  // namespace hearth::serve
