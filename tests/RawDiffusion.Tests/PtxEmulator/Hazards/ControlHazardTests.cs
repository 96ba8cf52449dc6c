using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Tests;

/// <summary>Barriers, exchanges within a warp, and kernels that do not end.</summary>
public sealed class ControlHazardTests : HazardLab
{
    [SkippableFact]
    public void ABarrierInADivergentBranch()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                if (threadIdx.x % 2 == 0)
                {
                    x[threadIdx.x] = 1;
                    __syncthreads(); // here
                    x[threadIdx.x] = 2;
                }
                x[threadIdx.x + 64] = x[threadIdx.x];
            }
            """, 1, 64, 0, Ints(128, "x").Pointer);
        AssertReport(report, HazardKind.DivergentBarrier, block: (0, 0, 0));
    }

    [SkippableFact]
    public void ABarrierThatHalfTheWarpsSkip()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                if (threadIdx.x < 32)
                {
                    x[threadIdx.x] = 1;
                    __syncthreads(); // here
                    x[threadIdx.x] = 2;
                }
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertReport(report, HazardKind.BarrierNeverCompleted);
    }

    [SkippableFact]
    public void ABarrierAfterAnEarlyReturn()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int n)
            {
                __shared__ int tile[64];
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                if (i >= n)
                    return;
                tile[threadIdx.x] = x[i];
                __syncthreads(); // here
                x[i] = tile[0];
            }
            """, 1, 64, 0, Ints(64, "x").Pointer, 32);
        AssertReport(report, HazardKind.BarrierNeverCompleted);
    }

    [SkippableFact]
    public void ANamedBarrierForMoreThreadsThanCome()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                if (threadIdx.x < 32)
                    asm volatile("bar.sync 1, 64;" ::: "memory"); // here
                x[threadIdx.x] = 1;
            }
            """, 1, 64, 0, Ints(64, "x").Pointer);
        AssertReport(report, HazardKind.BarrierNeverCompleted);
    }

    [SkippableFact]
    public void ANamedBarrierWithTwoCounts()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                if (threadIdx.x < 32)
                    asm volatile("bar.sync 1, 96;" ::: "memory");
                else
                    asm volatile("bar.sync 1, 64;" ::: "memory"); // here
                x[threadIdx.x] = 1;
            }
            """, 1, 96, 0, Ints(96, "x").Pointer);
        AssertReport(report, HazardKind.DivergentBarrier);
    }

    [SkippableFact]
    public void AShuffleThatNamesLanesWhichAreElsewhere()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                if (i < 16)
                    x[i] = __shfl_xor_sync(0xffffffff, x[i], 1); // here
                x[i + 32] = x[i];
            }
            """, 1, 32, 0, Ints(64, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask);
    }

    [SkippableFact]
    public void AShuffleOfAThreadThatTheMaskDoesNotName()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                x[i] = __shfl_down_sync(0x0000ffff, x[i], 1); // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask, thread: (16, 0, 0));
    }

    [SkippableFact]
    public void AVoteWithDifferentMasks()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                unsigned mask = i < 16 ? 0xffffffffu : 0xfffffffeu;
                x[i] = __ballot_sync(mask, x[i] > 3); // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask);
    }

    [SkippableFact]
    public void AMatchThatNamesLanesWhichHaveLeft()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                if (i < 8)
                {
                    unsigned peers = __match_any_sync(0x000001ff, x[i] / 2); // here
                    x[i] = peers;
                }
                else
                {
                    x[i] = 0;
                }
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask);
    }

    [SkippableFact]
    public void AReductionOfAThreadThatTheMaskDoesNotName()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                x[i] = __reduce_add_sync(0x7fffffff, x[i]); // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask, thread: (31, 0, 0));
    }

    [SkippableFact]
    public void ASyncwarpThatDoesNotNameTheThread()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                x[i] = 1;
                __syncwarp(0xfffffff0); // here
                x[i ^ 1] = 2;
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InvalidMemberMask, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void ALoopThatDoesNotEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(volatile int* x)
            {
                while (x[threadIdx.x] >= 0) // here
                    ;
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.InstructionBudget);
    }

    [SkippableFact]
    public void AFlagThatNobodySets()
    {
        var report = Fault("""
            extern "C" __global__ void k(volatile int* flag, int* x)
            {
                if (threadIdx.x == 0)
                {
                    while (*flag == 0) // here
                        ;
                }
                __syncthreads();
                x[threadIdx.x] = 1;
            }
            """, 1, 64, 0, Ints(1, "flag").Pointer, Ints(64, "x").Pointer);
        AssertReport(report, HazardKind.InstructionBudget, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void ALockThatIsTakenTwice()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* lock)
            {
                while (atomicCAS(lock, 0, 1) != 0)
                    ;
                while (atomicCAS(lock, 0, 1) != 0) // here
                    ;
                atomicExch(lock, 0);
            }
            """, 1, 1, 0, Ints(1, "lock").Pointer);
        AssertReport(report, HazardKind.InstructionBudget, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void ATrap()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                if (x[threadIdx.x] == 5)
                    __trap(); // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.Trap, thread: (5, 0, 0));
    }

    [SkippableFact]
    public void AnAssertionThatFails()
    {
        var report = Fault("""

            extern "C" __global__ void k(int* x)
            {
                assert(x[threadIdx.x] < 20); // here
                x[threadIdx.x] = 0;
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.Assertion, thread: (20, 0, 0));
        Assert.Contains("x[threadIdx.x] < 20", report.Message);
    }
}
