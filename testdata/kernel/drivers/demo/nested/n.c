const char nested_where[] = DIR;
