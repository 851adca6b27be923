// A schema document: what its references lead to, which types a schema allows, and a schema without
// $ref and allOf at its top. Errors name the place ("schema #/properties/x").
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::grammar {

// Keywords that restrict, by the type they restrict; the type is inferred from them where it is not
// given.
const std::map<std::string, std::string>& keyword_types();
// "object", "integer", ... of a value.
const char* type_of(const io::Json& value);
// Whether nothing but `keyword` restricts.
bool only_restricts_by(const io::Json& schema, const char* keyword);
// An integer is a number too.
std::vector<std::string> allowed_types(const io::Json& schema, const std::string& path);

[[noreturn]] void wrong_schema(const std::string& path, const std::string& text);
[[noreturn]] void unsupported_keyword(const std::string& path, const std::string& key,
                                      const std::string& cure);
// Throws for a keyword that validators understand and we do not: to ignore one would break the
// promise that an answer fits.
void check_keywords(const io::Json& schema, const std::string& path);

class SchemaSource {
 public:
  // `root` outlives this.
  explicit SchemaSource(const io::Json& root) : root_(root) {}

  const io::Json& root() const { return root_; }
  // Where a "$ref" leads.
  const io::Json& resolve(const io::Json& reference, const std::string& path) const;
  // Without $ref and allOf at the top: what they say is merged in.
  io::Json flattened(const io::Json& schema, const std::string& path);
  // The i-th of a list of alternatives, with what stands beside the list.
  io::Json alternative(const io::Json& schema, const char* key, size_t i, const std::string& path);

 private:
  io::Json flattened(const io::Json& schema, const std::string& path, int chain);
  void count_merge(const std::string& path);

  const io::Json& root_;
  int merges_ = 0;
};

}  // namespace hearth::grammar
