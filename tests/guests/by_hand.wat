;; A guest of the world of batches, written by hand: it keeps every record as it is. Small, so that very many mutations of it can be
;; compiled and run (`--bench hostile`, and a few in every test).
(module
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 65536))

  ;; Who it is: what `describe` returns, and the two texts that it points to.
  (data (i32.const 1024) "\10\04\00\00\07\00\00\00\20\04\00\00\01\00\00\00")
  (data (i32.const 1040) "by_hand")
  (data (i32.const 1056) "1")

  (func $allocate (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ge_s
        (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))
        (i32.const 0)))
      unreachable)
    (local.get $at))

  (func (export "mapper-host:mapper/plugin@1.0.0#describe") (result i32) (i32.const 1024))
  (func (export "mapper-host:mapper/plugin@1.0.0#configure") (param i32 i32) (result i32) (i32.const 1100))

  ;; Fills a list of `count` words with `first`, `first + step`, …
  (func $fill (param $at i32) (param $count i32) (param $first i32) (param $step i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (i32.store (local.get $at) (local.get $first))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $first (i32.add (local.get $first) (local.get $step)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; The number of records is the length of the list of offsets, at 20 of the batch. What is returned lies at 2048: statuses,
  ;; output-ends, errors, values (bytes, ends, marks), and nothing of what is optional.
  (func (export "mapper-host:mapper/batch-mapper@1.0.0#process") (param $batch i32) (result i32)
    (local $count i32)
    (local $list i32)
    (local.set $count (i32.load offset=20 (local.get $batch)))
    (memory.fill (i32.const 2048) (i32.const 0) (i32.const 192))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (local.get $count)))
    (memory.fill (local.get $list) (i32.const 0) (local.get $count))
    (i32.store (i32.const 2048) (local.get $list))
    (i32.store (i32.const 2052) (local.get $count))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $count) (i32.const 4))))
    (call $fill (local.get $list) (local.get $count) (i32.const 1) (i32.const 1))
    (i32.store (i32.const 2056) (local.get $list))
    (i32.store (i32.const 2060) (local.get $count))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $count) (i32.const 4))))
    (call $fill (local.get $list) (local.get $count) (i32.const 0) (i32.const 0))
    (i32.store (i32.const 2096) (local.get $list))
    (i32.store (i32.const 2100) (local.get $count))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (local.get $count)))
    (memory.fill (local.get $list) (i32.const 2) (local.get $count))
    (i32.store (i32.const 2104) (local.get $list))
    (i32.store (i32.const 2108) (local.get $count))
    ;; All that was allocated, for the arguments too, is free again with the next call.
    (global.set $free (i32.const 65536))
    (i32.const 2048)))
