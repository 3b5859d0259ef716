// Recurrent layers for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "recurrent_table.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const RecurrentKernels kRecurrent;
const RecurrentKernels kRecurrent = kTable<Float32>;

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
