using RawDiffusion.PtxEmulator.Checks;
using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.Tests;

/// <summary>What a person reads when a kernel was stopped.</summary>
public class HazardReportTests
{
    [Fact]
    public void AReportNamesPlaceThreadsAndLines()
    {
        var call = new SourceLine("/somewhere/blur.cu", 20, 5, null);
        var report = new HazardReport
        {
            Kind = HazardKind.Race,
            Kernel = "_Z4blurPfi",
            Message = "Race",
            Space = StateSpace.Shared,
            Address = 0x40,
            Allocation = "byte 64 of __shared__ tile, 128 bytes",
            Parties =
            [
                new HazardParty((1, 0, 0), (16, 0, 0), new SourceLine("/somewhere/tiles.cuh", 3, 1, call), "PTX line 52: ld.shared.f32 %f1, [%rd1];", "read of 4 bytes"),
                new HazardParty((1, 0, 0), (48, 0, 0), call, "PTX line 40: st.shared.f32 [%rd1], %f2;", "earlier write"),
            ],
        };
        Assert.Equal("""
            Race, in kernel blur
              at address 0x40: byte 64 of __shared__ tile, 128 bytes
              read of 4 bytes by thread (16,0,0) of block (1,0,0)
                tiles.cuh:3, inlined at blur.cu:20
                PTX line 52: ld.shared.f32 %f1, [%rd1];
              earlier write by thread (48,0,0) of block (1,0,0)
                blur.cu:20
                PTX line 40: st.shared.f32 [%rd1], %f2;

            """.ReplaceLineEndings("\n"), report.ToString());
    }

    [Theory]
    [InlineData("softmax_f32", "softmax_f32")]
    [InlineData("_Z4blurPfi", "blur")]
    [InlineData("_ZZ1kE4tile", "tile")]
    [InlineData("_ZZ4foldPfiE5cache_0", "cache")]
    [InlineData("_ZN3net5tableE", "table")]
    [InlineData("_ZN3net4foldILi32EEEvPf", "fold")]
    [InlineData("_Z", "_Z")]
    [InlineData("_Z999x", "_Z999x")]
    public void NamesAreThoseOfTheSource(string mangled, string name) => Assert.Equal(name, SourceNames.Of(mangled));
}
