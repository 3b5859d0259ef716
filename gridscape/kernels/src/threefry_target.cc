// Random numbers for one instruction set: compiled once for each, GRIDSCAPE_TARGET is its name.

#include "threefry.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const ThreefryKernels kThreefry;
const ThreefryKernels kThreefry = {threefry_bits, threefry_pairs};

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
