#include "../../include/linux/value.h"
