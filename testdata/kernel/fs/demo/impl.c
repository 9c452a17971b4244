static const char *name __attribute__((used)) = NAME __FILE__;
