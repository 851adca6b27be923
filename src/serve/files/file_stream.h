// A file as the answer to a request, as fast as the client takes it and never whole in memory.
#pragma once

#include <memory>
#include <string>

namespace hearth::serve {

class Executor;
class Reply;

// Throws Error{kNotFound} where there is no such file.
void answer_file(std::shared_ptr<Reply> reply, Executor& executor, const std::string& path,
                 const std::string& content_type);

}  // namespace hearth::serve
