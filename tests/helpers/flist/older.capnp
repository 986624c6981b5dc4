@0xb3c1a7d94e5f6021;
# The records of older flists, for an independent reader of what ours writes.

struct Dir {
  name @0 :Text;
  location @1 :Text;
  contents @2 :List(Inode);
  parent @3 :Text;
  size @4 :UInt64;
  aclkey @5 :Text;
  modified @6 :UInt32;
  created @7 :UInt32;
}

struct Inode {
  name @0 :Text;
  size @1 :UInt64;
  union {
    dir @2 :SubDir;
    file @3 :File;
    link @4 :Link;
    special @5 :Special;
  }
  aclkey @6 :Text;
  modified @7 :UInt32;
  created @8 :UInt32;
}

struct SubDir { key @0 :Text; }

struct File {
  pages @0 :UInt16;
  blocks @1 :List(FileBlock);
}

struct FileBlock {
  hash @0 :Data;
  key @1 :Data;
}

struct Link { target @0 :Text; }

struct Special {
  type @0 :UInt16;
  data @1 :Data;
}

struct Access {
  user @0 :Text;
  group @1 :Text;
  mode @2 :UInt16;
  rights @3 :List(Text);
  id @4 :UInt32;
  uid @5 :Int64 = -1;
  gid @6 :Int64 = -1;
}
