//! AMX, Intel's tile extension: detection, permission of the operating system, and the instructions, in inline assembly since their
//! intrinsics are not stable.
//!
//! Linux saves no tile state for a process until the process requests it. An [`Amx`] exists only after this request and after the
//! instruction has agreed with its definition in a test product. It configures the tiles of its thread, and releases them when
//! dropped.

use super::tile_unit::{SIDE, Sums, Tile, TileColumn, TileUnit, is_as_defined, steps};
use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Whether this machine has AMX with bfloat16, the operating system permits it, and a test product agrees with the definition. If
/// the product differs, the instruction counts as missing.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // SAFETY: the processor has the instructions, and the kernel lets this process use them.
        is_present() && is_permitted() && is_as_defined(&mut unsafe { Amx::new() })
    })
}

/// Whether the processor has the instructions and the operating system saves tiles.
fn is_present() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const OSXSAVE: u32 = 1 << 27;
    const TILES: u32 = 0b11 << 17; // their configuration and their contents
    if __cpuid(0).eax < 0x1d || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let has = __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE;
    let palette = __cpuid_count(0x1d, 1); // eight tiles of 16 rows of 64 bytes
    let tiles = palette.ebx >> 16 >= 8 && palette.ebx & 0xffff >= 64 && palette.ecx & 0xffff >= 16;
    has && tiles && saved_state() & TILES == TILES
}

/// The lower half of XCR0: the state that the operating system saves per thread. Requires OSXSAVE.
fn saved_state() -> u32 {
    let low;
    // SAFETY: the only caller has checked OSXSAVE, which implies this instruction; register 0 always exists.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags)) };
    low
}

/// Requests permission from the operating system, for the whole process.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: u64 = 0x1023; // ARCH_REQ_XCOMP_PERM
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: this system call reads and writes no memory of ours; the kernel changes `rcx` and `r11`, which are named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// The memory format that `LDTILECFG` reads.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_in_a_row: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of full size.
static WHOLE: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_in_a_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

const _: () = assert!(size_of::<Configuration>() == 64 && size_of::<Tile>() == TILE && SIDE == 16);

/// Bytes of a tile.
const TILE: usize = 1024;

/// The configured tiles of this thread, which it must not leave.
#[derive(Debug)]
pub(crate) struct Amx(PhantomData<*mut ()>);

impl Amx {
    /// Configures the tiles of this thread; `None` if they are not available.
    pub fn configure() -> Option<Self> {
        // SAFETY: `is_available` has checked the processor and the permission.
        is_available().then(|| unsafe { Self::new() })
    }

    /// # Safety
    /// The processor has the instructions, and the kernel has given permission.
    unsafe fn new() -> Self {
        // SAFETY: reads the 64 bytes of a valid configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE, options(nostack, readonly, preserves_flags)) };
        Self(PhantomData)
    }
}

impl Drop for Amx {
    fn drop(&mut self) {
        // SAFETY: a value of this type exists only where the instruction exists; the compiler keeps nothing in tiles.
        unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
    }
}

impl TileUnit for Amx {
    /// Tiles 0 to 3 hold the sums, 4 and 5 two tiles of the left factor, 6 and 7 two of the right: four loads per four products.
    fn multiply(&mut self, sums: &mut Sums, fresh: bool, left: [&[Tile]; 2], right: [TileColumn<'_>; 2]) {
        let steps = steps(left, right);
        assert_eq!(right[0].stride, right[1].stride, "columns of one panel");
        if steps == 0 {
            if fresh {
                *sums = Default::default();
            }
            return;
        }
        let stride = right[0].stride * size_of::<super::Register<u32>>();
        // SAFETY: tiles are configured as long as `self` lives. `sums` is four tiles. `steps` is not 0, and `steps()` has checked
        // that for each step `left` holds 1024 bytes and `right` 16 rows of 64 bytes that start `stride` bytes apart. No other
        // memory is accessed. Tiles hold sums only within this block.
        unsafe {
            asm!(
                "test {fresh:e}, {fresh:e}",
                "jz 2f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 3f",
                "2:",
                "tileloadd tmm0, [{sums} + {line}*1]",
                "tileloadd tmm1, [{sums} + {line}*1 + 1024]",
                "tileloadd tmm2, [{sums} + {line}*1 + 2048]",
                "tileloadd tmm3, [{sums} + {line}*1 + 3072]",
                "3:",
                "tileloadd tmm4, [{left_0} + {line}*1]",
                "tileloadd tmm6, [{right_0} + {stride}*1]",
                "tileloadd tmm7, [{right_1} + {stride}*1]",
                "tileloadd tmm5, [{left_1} + {line}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left_0}, 1024",
                "add {left_1}, 1024",
                "add {right_0}, {step}",
                "add {right_1}, {step}",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{sums} + {line}*1], tmm0",
                "tilestored [{sums} + {line}*1 + 1024], tmm1",
                "tilestored [{sums} + {line}*1 + 2048], tmm2",
                "tilestored [{sums} + {line}*1 + 3072], tmm3",
                fresh = in(reg) u32::from(fresh),
                sums = in(reg) sums.as_mut_ptr(),
                line = in(reg) 64usize,
                left_0 = inout(reg) left[0].as_ptr() => _,
                left_1 = inout(reg) left[1].as_ptr() => _,
                right_0 = inout(reg) right[0].registers.as_ptr() => _,
                right_1 = inout(reg) right[1].registers.as_ptr() => _,
                stride = in(reg) stride,
                step = in(reg) SIDE * stride,
                steps = inout(reg) steps => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
