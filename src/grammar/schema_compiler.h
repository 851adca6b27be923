// From a JSON schema to expressions. One file a type: schema_scalar, schema_array, schema_object;
// json_schema.cpp has what stands above types.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grammar/ir.h"
#include "grammar/json_number.h"
#include "grammar/json_text.h"
#include "grammar/schema_source.h"
#include "io/json_fwd.h"

namespace hearth::grammar {

// Whether a list of at least `low` may be empty.
inline JsonText::Empty emptiness(int64_t low) {
  return low == 0 ? JsonText::Empty::kAllowed : JsonText::Empty::kForbidden;
}

class SchemaCompiler {
 public:
  SchemaCompiler(Ir& ir, const io::Json& root, Whitespace whitespace)
      : ir_(ir), source_(root), text_(ir, whitespace) {}

  ExprId compile();

 private:
  struct Reference {
    RuleId rule = 0;
    const io::Json* schema = nullptr;
    std::string path;
  };
  struct Property {
    std::string name;
    ExprId value = 0;
    bool required = false;
  };

  ExprId any_schema(const io::Json& schema, const std::string& path, int depth);
  ExprId reference(const io::Json& target, const std::string& path);
  ExprId alternatives(const io::Json& schema, const char* key, const std::string& path, int depth);
  ExprId plain(const io::Json& schema, const std::string& path, int depth);
  ExprId values(const io::Json& schema, const std::vector<std::string>& types,
                const std::string& path);
  ExprId typed(const io::Json& schema, const std::string& type, const std::string& path, int depth);
  // A keyword that is a count; `fallback` where it is absent.
  int64_t count(const io::Json& schema, const char* key, int64_t fallback, const std::string& path);

  ExprId string(const io::Json& schema, const std::string& path);
  ExprId quoted(ExprId contents);
  // The format if it restricts strings; formats that only describe (int32, password) do not.
  std::optional<std::string> format_of(const io::Json& schema, const std::string& path) const;
  NumberRange range(const io::Json& schema, const std::string& path) const;
  ExprId number(const io::Json& schema, const std::string& path);
  ExprId integer(const io::Json& schema, const std::string& path);
  ExprId multiple(const io::Json& schema, const std::string& type, const std::string& path);

  ExprId array(const io::Json& schema, const std::string& path, int depth);
  ExprId unique_items(const io::Json& schema, const std::string& path);
  ExprId tuple(const io::Json& prefix, const std::string& path, ExprId tail, int64_t low,
               int64_t high, int depth);

  ExprId object(const io::Json& schema, const std::string& path, int depth);
  std::vector<Property> properties_of(const io::Json& schema, const std::string& path, int depth);
  ExprId other_member(const io::Json& schema, const std::vector<Property>& properties,
                      const std::string& path, int depth);
  ExprId pattern_members(const io::Json& schema, const std::vector<Property>& properties,
                         const std::string& path, int depth);
  ExprId object_of(const std::vector<Property>& properties, ExprId other, int64_t low);

  Ir& ir_;
  SchemaSource source_;
  JsonText text_;
  std::map<std::string, RuleId> references_;
  std::map<std::string, ExprId> formats_;
  std::vector<Reference> todo_;
};

}  // namespace hearth::grammar
