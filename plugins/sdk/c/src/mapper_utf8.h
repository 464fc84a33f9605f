/** Makes valid UTF-8 for the contract. Internal to the SDK. */
#ifndef MAPPER_UTF8_H
#define MAPPER_UTF8_H

#include "mapper.h"

/** Returns the text with U+FFFD in the place of each byte that is not UTF-8. */
mapper_bytes mapper_utf8(mapper_bytes text);

#endif
