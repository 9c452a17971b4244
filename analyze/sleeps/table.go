package sleeps

// direct is __GFP_DIRECT_RECLAIM (include/linux/gfp_types.h, v6.1 and v6.12).
const direct = 0x400
