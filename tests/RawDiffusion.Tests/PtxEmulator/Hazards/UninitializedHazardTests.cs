using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Tests;

/// <summary>Reads of what was never written.</summary>
public sealed class UninitializedHazardTests : HazardLab
{
    [SkippableFact]
    public void AReadOfAFreshBuffer()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 32, 0, Undefined(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 0 of 'x'");
    }

    [SkippableFact]
    public void AReadOfAFreshDriverAllocation()
    {
        var x = Driver.Allocate(128);
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 32, 0, x, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 0 of allocation");
    }

    [SkippableFact]
    public void AReadOfWhatAnEarlierOwnerWrote()
    {
        Ints(32, "first").Dispose();
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x + 1]; // here
            }
            """, 1, 16, 0, Undefined(32, "second").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 4 of 'second'");
    }

    [SkippableFact]
    public void TheElementsThatAKernelSkipped()
    {
        var x = Undefined(64, "x");
        Compile("extern \"C\" __global__ void k(int* x) { x[2 * threadIdx.x] = 1; }").Launch(1, 32, 0, x.Pointer);
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 64, 0, x.Pointer, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (1, 0, 0), allocation: "byte 4 of 'x'");
    }

    [SkippableFact]
    public void TheRestOfAPartlyCopiedBuffer()
    {
        var x = Undefined(64, "x");
        x.CopyFrom<int>(new int[40]);
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 64, 0, x.Pointer, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (40, 0, 0), allocation: "byte 160 of 'x'");
    }

    [SkippableFact]
    public void ACopyOfUndefinedMemoryIsUndefined()
    {
        var x = Undefined(64, "x");
        var copy = Ints(64, "copy");
        copy.CopyFrom(x, 256);
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 32, 0, copy.Pointer, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "'copy'");
    }

    [SkippableFact]
    public void AnAtomicOnACounterThatWasNotCleared()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* counter)
            {
                atomicAdd(counter, 1); // here
            }
            """, 1, 32, 0, Undefined(1, "counter").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "'counter'");
    }

    [SkippableFact]
    public void HalfOfAVector()
    {
        var x = Undefined(4, "x");
        x.CopyFrom<int>(new int[2]);
        var report = Fault("""
            extern "C" __global__ void k(int4* x, int* y)
            {
                int4 v = *x; // here
                *y = v.x + v.y + v.z + v.w;
            }
            """, 1, 1, 0, x.Pointer, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 8 of 'x'");
    }

    [SkippableFact]
    public void SharedMemoryThatNobodyWrote()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* y)
            {
                __shared__ int tile[64];
                tile[threadIdx.x] = threadIdx.x;
                __syncthreads();
                y[threadIdx.x] = tile[threadIdx.x + 1]; // here
            }
            """, 1, 32, 0, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Shared, thread: (31, 0, 0), allocation: "byte 128 of __shared__");
    }

    [SkippableFact]
    public void SharedMemoryThatAnEarlierBlockWrote()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* y)
            {
                __shared__ int tile[32];
                if (blockIdx.x == 0)
                    tile[threadIdx.x] = threadIdx.x;
                __syncthreads();
                y[32 * blockIdx.x + threadIdx.x] = tile[threadIdx.x]; // here
            }
            """, 2, 32, 0, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Shared, thread: (0, 0, 0), block: (1, 0, 0));
    }

    [SkippableFact]
    public void DynamicSharedMemoryThatNobodyWrote()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* y)
            {
                extern __shared__ int sums[];
                if (threadIdx.x < 16)
                    sums[threadIdx.x] = 0;
                __syncthreads();
                atomicAdd(&sums[threadIdx.x], 1); // here
                __syncthreads();
                y[threadIdx.x] = sums[threadIdx.x];
            }
            """, 1, 32, 128, Ints(64, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Shared, thread: (16, 0, 0));
    }

    [SkippableFact]
    public void AnElementOfALocalArrayThatWasNotSet()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                int values[8];
                for (int i = 0; i < 7; i++)
                    values[x[i]] = i;
                y[threadIdx.x] = values[x[threadIdx.x]]; // here
            }
            """, 1, 8, 0, Ints(16, "x").Pointer, Ints(16, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Local, thread: (7, 0, 0));
    }

    [SkippableFact]
    public void AnAsynchronousCopyThatIsNotWaitedFor()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                __shared__ int tile[32];
                int i = threadIdx.x;
                tile[i] = 0;
                unsigned at = (unsigned)__cvta_generic_to_shared(&tile[i]);
                asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(at), "l"(x + i) : "memory");
                asm volatile("cp.async.commit_group;" ::: "memory");
                y[i] = tile[i]; // here
                asm volatile("cp.async.wait_group 0;" ::: "memory");
            }
            """, 1, 32, 0, Ints(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Shared, thread: (0, 0, 0), allocation: "byte 0 of __shared__ tile");
    }

    [SkippableFact]
    public void AnAsynchronousCopyOfAnotherThreadThatWasWaitedForTooLittle()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                __shared__ int tile[2][32];
                int i = threadIdx.x;
                unsigned at = (unsigned)__cvta_generic_to_shared(&tile[0][i]);
                asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(at), "l"(x + i) : "memory");
                asm volatile("cp.async.commit_group;" ::: "memory");
                asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(at + 128), "l"(x + 32 + i) : "memory");
                asm volatile("cp.async.commit_group;" ::: "memory");
                asm volatile("cp.async.wait_group 1;" ::: "memory");
                __syncthreads();
                int sum = tile[0][31 - i];
                sum += tile[1][31 - i]; // here
                y[i] = sum;
            }
            """, 1, 32, 0, Ints(64, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UninitializedRead, StateSpace.Shared, thread: (0, 0, 0), allocation: "byte 252 of __shared__ tile");
    }
}
