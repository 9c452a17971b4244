const char deep_where[] = DIR;
