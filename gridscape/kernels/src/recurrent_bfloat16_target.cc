// Recurrent layers whose products have operands of bfloat16, for one instruction set: compiled once
// for each, GRIDSCAPE_TARGET is its name.

#include "recurrent_table.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const RecurrentKernels kRecurrentBfloat16;
const RecurrentKernels kRecurrentBfloat16 = kTable<Bfloat16>;

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
