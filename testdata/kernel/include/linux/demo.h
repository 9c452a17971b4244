#include <linux/value.h>
