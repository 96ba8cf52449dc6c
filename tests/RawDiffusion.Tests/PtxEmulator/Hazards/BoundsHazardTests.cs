using RawDiffusion.Cuda;
using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Tests;

/// <summary>Accesses of what is not there, not there any more, or not aligned.</summary>
public sealed class BoundsHazardTests : HazardLab
{
    [SkippableFact]
    public void AReadBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                int i = threadIdx.x;
                int right = x[i + 1]; // here
                y[i] = right;
            }
            """, 1, 32, 0, Ints(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (31, 0, 0), block: (0, 0, 0), "0 bytes behind the end of 'x', 128 bytes");
    }

    [SkippableFact]
    public void AWriteBehindTheEndByABlockThatIsNotFull()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int n)
            {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                x[i] = i; // here
            }
            """, 4, 32, 0, Ints(100, "x").Pointer, 100);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (4, 0, 0), block: (3, 0, 0), "0 bytes behind the end of 'x', 400 bytes");
    }

    [SkippableFact]
    public void AReadBeforeTheStart()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                int i = threadIdx.x;
                y[i] = x[i - 1]; // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0), allocation: "4 bytes before 'x'");
    }

    [SkippableFact]
    public void AWriteBeforeTheStart()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                int i = threadIdx.x;
                x[2 * i - 5] = i; // here
            }
            """, 1, (4, 2), 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0), allocation: "20 bytes before 'x'");
    }

    [SkippableFact]
    public void AnIndexFarOffMeetsNoOtherAllocation()
    {
        var x = Ints(32, "x");
        Ints(1 << 20, "neighbour");
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x * 1000003] = 1; // here
            }
            """, 1, 32, 0, x.Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (1, 0, 0), allocation: "behind the end of 'x'");
    }

    [SkippableFact]
    public void AVectorThatLiesOnlyPartlyInside()
    {
        var report = Fault("""
            extern "C" __global__ void k(float4* x, float* y)
            {
                float4 v = x[threadIdx.x]; // here
                y[threadIdx.x] = v.x + v.y + v.z + v.w;
            }
            """, 1, 9, 0, Ints(34, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (8, 0, 0), allocation: "'x', 136 bytes");
    }

    [SkippableFact]
    public void ANullPointerThatIsRead()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 32, 0, DevicePointer.Null, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0), allocation: "the null pointer");
    }

    [SkippableFact]
    public void ANullPointerThatIsWritten()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x + 3] = 1; // here
            }
            """, 1, 1, 0, DevicePointer.Null);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0), allocation: "12 bytes from the null pointer");
    }

    [SkippableFact]
    public void APointerCutTo32Bits()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                unsigned low = (unsigned)(unsigned long long)x;
                *(int*)(unsigned long long)low = 1; // here
            }
            """, 1, 1, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void AnAtomicBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* bins, int* x)
            {
                int bin = x[threadIdx.x] / 4;
                atomicAdd(&bins[bin], 1); // here
            }
            """, 1, 32, 0, Ints(7, "bins").Pointer, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (28, 0, 0), allocation: "0 bytes behind the end of 'bins', 28 bytes");
    }

    [SkippableFact]
    public void AnIndexThatOverflows()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int rows, int columns)
            {
                int i = rows * columns + (int)threadIdx.x;
                x[i] = 1; // here
            }
            """, 1, 1, 0, Ints(32, "x").Pointer, 65536, 40000);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void AnIndexIntoADeviceVariable()
    {
        var report = Fault("""
            __device__ int table[8] = { 1, 2, 3 };

            extern "C" __global__ void k(int* y)
            {
                y[threadIdx.x] = table[threadIdx.x]; // here
            }
            """, 1, 16, 0, Ints(16, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (8, 0, 0), allocation: "0 bytes behind the end of __device__ table, 32 bytes");
    }

    [SkippableFact]
    public void AnIndexIntoAConstant()
    {
        var report = Fault("""
            __constant__ int table[8];

            extern "C" __global__ void k(int* y, int offset)
            {
                y[threadIdx.x] = table[threadIdx.x + offset]; // here
            }
            """, 1, 4, 0, Ints(16, "y").Pointer, 6);
        AssertReport(report, HazardKind.OutOfBounds, thread: (2, 0, 0), allocation: "0 bytes behind the end of __constant__ table, 32 bytes");
    }

    [SkippableFact]
    public void AConstantThatIsWritten()
    {
        // Of a write that it sees the compiler makes a trap.
        var kernel = Compile("""
            __constant__ int table[8];

            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x] = 1; // here
            }
            """);
        kernel.Launch(1, 4, 0, Module!.GetGlobal("table").Address);
        AssertReport(Fault(), HazardKind.WriteToConstant, thread: (0, 0, 0), allocation: "byte 0 of __constant__ table");
    }

    [SkippableFact]
    public void MemoryThatWasFreed()
    {
        var x = Driver.Allocate(128);
        Driver.Fill8Async(x, 0, 128, Context.Stream.Handle);
        Driver.Free(x);
        var report = Fault("""
            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = x[threadIdx.x]; // here
            }
            """, 1, 32, 0, x, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.UseAfterFree, StateSpace.Global, thread: (0, 0, 0), allocation: "which was freed");
    }

    [SkippableFact]
    public void MemoryThatWentBackToThePool()
    {
        var x = Ints(32, "activations");
        var stale = x.Pointer;
        x.Dispose();
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x + 2] = 1; // here
            }
            """, 1, 8, 0, stale);
        AssertReport(report, HazardKind.UseAfterFree, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 8 of 'activations'");
        Assert.Contains("returned to the pool", report.Allocation);
    }

    [SkippableFact]
    public void MemoryBeyondWhatWasAskedOfThePool()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                x[threadIdx.x] = 1; // here
            }
            """, 1, 32, 0, Ints(20, "bias").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (20, 0, 0), allocation: "0 bytes behind the end of 'bias', 80 bytes");
    }

    [SkippableFact]
    public void AMisalignedRead()
    {
        var report = Fault("""
            extern "C" __global__ void k(char* x, int* y)
            {
                y[threadIdx.x] = *(int*)(x + 5 * threadIdx.x); // here
            }
            """, 1, 8, 0, Ints(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.Misaligned, StateSpace.Global, thread: (1, 0, 0), allocation: "byte 5 of 'x'");
    }

    [SkippableFact]
    public void AMisalignedVector()
    {
        var report = Fault("""
            extern "C" __global__ void k(float* x)
            {
                *(float4*)(x + 2) = make_float4(1, 2, 3, 4); // here
            }
            """, 1, 1, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.Misaligned, StateSpace.Global, thread: (0, 0, 0), allocation: "byte 8 of 'x'");
    }

    [SkippableFact]
    public void AMisalignedSharedWrite()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ char buffer[64];
                buffer[threadIdx.x] = 1;
                *(int*)(buffer + x[2]) = 1; // here
            }
            """, 1, 1, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.Misaligned, StateSpace.Shared, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void ASharedReadBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[32];
                tile[threadIdx.x] = x[threadIdx.x];
                __syncthreads();
                x[threadIdx.x] = tile[threadIdx.x + 1]; // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Shared, thread: (31, 0, 0), allocation: "tile");
    }

    [SkippableFact]
    public void ASharedWriteBeforeTheStart()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                __shared__ int tile[32];
                tile[(int)threadIdx.x - x[1]] = 1; // here
                __syncthreads();
                x[threadIdx.x] = tile[0];
            }
            """, 1, 32, 0, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Shared, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void ADynamicSharedWriteBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x)
            {
                extern __shared__ int tile[];
                tile[threadIdx.x] = x[threadIdx.x]; // here
                __syncthreads();
                x[threadIdx.x] = tile[0];
            }
            """, 1, 32, 64, Ints(32, "x").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Shared, thread: (16, 0, 0));
    }

    [SkippableFact]
    public void ALocalArrayReadBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int n)
            {
                int values[8];
                for (int i = 0; i < 8; i++)
                    values[i] = x[i] * n;
                x[threadIdx.x] = values[x[threadIdx.x]]; // here
            }
            """, 1, 16, 0, Ints(16, "x").Pointer, 3);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Local, thread: (8, 0, 0));
    }

    [SkippableFact]
    public void ALocalArrayWrittenBehindTheEnd()
    {
        var report = Fault("""
            extern "C" __global__ void k(int* x, int n)
            {
                int values[8];
                for (int i = 0; i < n; i++)
                    values[x[i]] = i; // here
                x[threadIdx.x] = values[x[3]];
            }
            """, 1, 1, 0, Ints(16, "x").Pointer, 10);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Local, thread: (0, 0, 0));
    }

    [SkippableFact]
    public void AnAccessInAnInlinedFunctionIsNamedByItsCallToo()
    {
        var report = Fault("""
            __device__ __forceinline__ int right_of(const int* x, int i)
            {
                return x[i + 1];
            }

            extern "C" __global__ void k(int* x, int* y)
            {
                y[threadIdx.x] = right_of(x, threadIdx.x); // here
            }
            """, 1, 32, 0, Ints(32, "x").Pointer, Ints(32, "y").Pointer);
        AssertReport(report, HazardKind.OutOfBounds, StateSpace.Global, thread: (31, 0, 0));
        Assert.Equal(3, report.Parties[0].Line!.Line);
        Assert.Equal(8, report.Parties[0].Line!.InlinedAt!.Line);
    }
}
