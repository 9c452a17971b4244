const char part_where[] = DIR;
