#include "serve/files/file_stream.h"

#include <fstream>

#include "base/error.h"
#include "serve/executor.h"
#include "serve/reply.h"

namespace hearth::serve {
namespace {

constexpr size_t kPieceBytes = size_t{64} << 10;

class FileStream final : public std::enable_shared_from_this<FileStream> {
 public:
  FileStream(std::shared_ptr<Reply> reply, Executor& executor, const std::string& path)
      : reply_(std::move(reply)),
        serial_(std::make_shared<Serial>(executor)),
        file_(path, std::ios::binary) {
    if (!file_) throw_error(ErrorCode::kNotFound, "id", "the bytes of the file are gone");
  }

  void begin(const std::string& content_type) {
    // The connection keeps this alive until the answer is complete or the client has gone.
    reply_->on_writable([self = shared_from_this()] { self->go_on(); });
    reply_->begin_stream({200, {{"Content-Type", content_type}}, {}});
    go_on();
  }

 private:
  void go_on() {
    serial_->post([self = shared_from_this()] { self->pump(); });
  }

  void pump() {
    std::string piece(kPieceBytes, '\0');
    while (!ended_ && reply_->writable()) {
      file_.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      const auto got = static_cast<size_t>(file_.gcount());
      if (got > 0) reply_->send(std::string_view(piece).substr(0, got));
      if (got < piece.size()) {
        ended_ = true;
        reply_->end();
      }
    }
  }

  const std::shared_ptr<Reply> reply_;
  const std::shared_ptr<Serial> serial_;
  std::ifstream file_;
  bool ended_ = false;
};

}  // namespace

void answer_file(std::shared_ptr<Reply> reply, Executor& executor, const std::string& path,
                 const std::string& content_type) {
  std::make_shared<FileStream>(std::move(reply), executor, path)->begin(content_type);
}

}  // namespace hearth::serve
