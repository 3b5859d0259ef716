// Feed-forward layers for one instruction set: compiled for each, named GRIDSCAPE_TARGET.

#include "feedforward.h"

namespace gridscape {
namespace GRIDSCAPE_TARGET {

extern const FeedforwardKernels kFeedforward;
const FeedforwardKernels kFeedforward = kFeedforwardTable<Float32>;

}  // namespace GRIDSCAPE_TARGET
}  // namespace gridscape
