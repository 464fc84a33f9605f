/** Text as the contract wants it, within the SDK. */
#ifndef MAPPER_UTF8_H
#define MAPPER_UTF8_H

#include "mapper.h"

/** The same text, with U+FFFD in place of what is no UTF-8, which the contract has no place for. */
mapper_bytes mapper_utf8(mapper_bytes text);

#endif
