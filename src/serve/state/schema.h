// The tables of hearth.db, as the steps that made them. A released step is never changed: add one.
#pragma once

#include <span>

#include "io/migrations.h"

namespace hearth::serve {

std::span<const io::Migration> schema_steps();

}  // namespace hearth::serve
